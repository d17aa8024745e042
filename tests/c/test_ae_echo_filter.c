#include "ae_echo_filter.h"

#include "ae_math.h"
#include "ae_test.h"

#include <stdlib.h>

/* A scene in blocks: far end of one or two channels, the echo of each through a random 30 ms path
 * behind a delay, near end. */
typedef struct {
    int rate, block, frames;
    float *far, *right, *echo, *near, *capture, *error;
} scene;

static scene make_scene(int rate, int seconds)
{
    scene s = {.rate = rate, .block = ae_block_frames(rate), .frames = rate * seconds};
    float **planes[] = {&s.far, &s.right, &s.echo, &s.near, &s.capture, &s.error};
    for (int i = 0; i < 6; i++) *planes[i] = calloc((size_t)s.frames, sizeof(float));
    return s;
}

static void free_scene(scene *s)
{
    free(s->far);
    free(s->right);
    free(s->echo);
    free(s->near);
    free(s->capture);
    free(s->error);
}

static void fill_noise(float *signal, int from, int to, float level, uint32_t seed)
{
    for (int i = from; i < to; i++) signal[i] += level * ae_random(&seed);
}

/* Bursts of coloured noise with pauses: a crude talker, for the delay finder to follow. */
static void fill_talker(const scene *s, float *signal, int from, int to, float level, uint32_t seed)
{
    float low = 0.0f;
    const int syllable = s->rate / 5;
    for (int i = from; i < to; i++) {
        low += 0.4f * (ae_random(&seed) - low);
        const float phase = (float)(i % syllable) / (float)syllable;
        signal[i] += level * low * sinf(k_ae_pi * phase);
    }
}

/* echo[i] for i in from .. to: `far` as it was `delay` frames ago through a path made from `seed`,
 * added. */
static void add_echo(scene *s, const float *far, int from, int to, int delay, uint32_t seed)
{
    const int taps = s->rate * 30 / 1000;
    float *path = calloc((size_t)taps, sizeof *path);
    for (int j = 0; j < taps; j++)
        path[j] = 0.15f * ae_random(&seed) * expf(-6.0f * (float)j / (float)taps);
    path[0] = 0.5f;
    for (int i = from; i < to; i++) {
        float sum = 0.0f;
        for (int j = 0; j < taps && i - delay - j >= 0; j++) sum += path[j] * far[i - delay - j];
        s->echo[i] += sum;
    }
    free(path);
}

/* The same of the first channel, and nothing else. */
static void fill_echo(scene *s, int from, int to, int delay, uint32_t seed)
{
    ae_zero(s->echo + from, to - from);
    add_echo(s, s->far, from, to, delay, seed);
}

static ae_echo_filter *make_filter_for(int rate, int far_channels)
{
    ae_echo_filter *filter = NULL;
    ae_echo_filter_config config = ae_echo_filter_default_config(rate);
    CHECK(config.far_channels == 1);
    config.far_channels = far_channels;
    CHECK(ae_echo_filter_create(&filter, &config) == AE_OK);
    CHECK(ae_echo_filter_far_channels(filter) == far_channels);
    return filter;
}

static ae_echo_filter *make_filter(int rate) { return make_filter_for(rate, 1); }

static void run(ae_echo_filter *filter, scene *s)
{
    for (int i = 0; i < s->frames; i++) s->capture[i] = s->echo[i] + s->near[i];
    const uint64_t before = ae_allocation_count();
    for (int i = 0; i + s->block <= s->frames; i += s->block) {
        const float *far[] = {s->far + i, s->right + i};
        ae_echo_filter_process(filter, s->capture + i, far, s->error + i);
        for (int j = i; j < i + s->block; j++) CHECK(isfinite(s->error[j]));
    }
    CHECK(ae_allocation_count() == before);
}

/* How far what is left of the echo lies below it, in dB, over a stretch in milliseconds. */
static float left_db(const scene *s, int from_ms, int to_ms)
{
    const int from = (int)((int64_t)from_ms * s->rate / 1000);
    const int to = (int)((int64_t)to_ms * s->rate / 1000);
    float left = 0.0f;
    for (int i = from; i < to; i++) {
        const float residual = s->error[i] - s->near[i];
        left += residual * residual;
    }
    return ae_db_from_power(ae_energy(s->echo + from, to - from)) - ae_db_from_power(left);
}

static void test_a_known_path_is_identified_at_every_rate(void)
{
    static const int rates[] = {8000, 11025, 16000, 22050, 44100, 48000};
    for (int r = 0; r < 6; r++) {
        scene s = make_scene(rates[r], 4);
        ae_echo_filter *filter = make_filter(rates[r]);
        fill_noise(s.far, 0, s.frames, 0.3f, 1);
        fill_echo(&s, 0, s.frames, rates[r] / 50, 7);
        run(filter, &s);
        const float erle_db = left_db(&s, 3000, 4000);
        printf("%5d Hz: ERLE %.1f dB\n", rates[r], (double)erle_db);
        CHECK(erle_db >= 40.0f);
        CHECK(ae_echo_filter_latency_frames(filter) == 0);
        ae_echo_filter_destroy(filter);
        free_scene(&s);
    }
}

static void test_delays_up_to_a_second_are_found(void)
{
    static const int delays_ms[] = {0, 60, 250, 600, 990};
    for (int d = 0; d < 5; d++) {
        scene s = make_scene(16000, 5);
        ae_echo_filter *filter = make_filter(s.rate);
        fill_talker(&s, s.far, 0, s.frames, 0.8f, 1);
        fill_echo(&s, 0, s.frames, delays_ms[d] * 16, 7);
        run(filter, &s);
        ae_echo_filter_report report;
        ae_echo_filter_read(filter, &report);
        CHECK(left_db(&s, 3500, 5000) >= 20.0f);
        CHECK(report.delay_confidence > 0.3f);
        /* the bulk delay leaves the first arrival at most 25 ms inside the filter */
        CHECK(report.delay_ms <= (float)delays_ms[d]);
        CHECK(report.delay_ms >= (float)delays_ms[d] - 26.0f);
        CHECK(report.erle_db > 10.0f);
        ae_echo_filter_destroy(filter);
        free_scene(&s);
    }
}

/* The delay jumps by 90 ms, the room stays: full cancellation is back within half a second. */
static void test_a_delay_jump_is_recovered_from(void)
{
    scene s = make_scene(16000, 8);
    ae_echo_filter *filter = make_filter(s.rate);
    fill_talker(&s, s.far, 0, s.frames, 0.8f, 1);
    fill_echo(&s, 0, 4 * 16000, 100 * 16, 7);
    fill_echo(&s, 4 * 16000, s.frames, 190 * 16, 7);
    run(filter, &s);
    printf("jump: %.1f dB before, %.1f dB after 0.5 s\n", (double)left_db(&s, 3000, 4000),
           (double)left_db(&s, 4500, 5500));
    CHECK(left_db(&s, 3000, 4000) >= 25.0f);
    CHECK(left_db(&s, 4500, 5500) >= 20.0f);
    ae_echo_filter_destroy(filter);
    free_scene(&s);
}

/* The room changes, the delay stays. */
static void test_a_new_room_is_learned(void)
{
    scene s = make_scene(16000, 8);
    ae_echo_filter *filter = make_filter(s.rate);
    fill_talker(&s, s.far, 0, s.frames, 0.8f, 1);
    fill_echo(&s, 0, 4 * 16000, 30 * 16, 7);
    fill_echo(&s, 4 * 16000, s.frames, 30 * 16, 8);
    run(filter, &s);
    CHECK(left_db(&s, 3000, 4000) >= 25.0f);
    CHECK(left_db(&s, 5000, 8000) >= 20.0f);
    ae_echo_filter_destroy(filter);
    free_scene(&s);
}

/* Four seconds of near end as loud as the echo: it comes out clean, and the filter stays. */
static void test_double_talk_does_not_diverge(int channels)
{
    scene s = make_scene(16000, 10);
    ae_echo_filter *filter = make_filter_for(s.rate, channels);
    fill_talker(&s, s.far, 0, s.frames, 0.8f, 1);
    fill_talker(&s, s.near, 4 * 16000, 8 * 16000, 0.4f, 99);
    fill_echo(&s, 0, s.frames, 40 * 16, 7);
    if (channels > 1) {
        fill_talker(&s, s.right, 0, s.frames, 0.4f, 2);
        add_echo(&s, s.right, 0, s.frames, 42 * 16, 29);
    }
    run(filter, &s);
    float wrong = 0.0f;
    for (int i = 4 * 16000; i < 8 * 16000; i++)
        wrong += (s.error[i] - s.near[i]) * (s.error[i] - s.near[i]);
    const float sdr_db =
        ae_db_from_power(ae_energy(s.near + 4 * 16000, 4 * 16000)) - ae_db_from_power(wrong);
    printf("double talk: near end SDR %.1f dB, echo left %.1f dB\n", (double)sdr_db,
           (double)left_db(&s, 4000, 8000));
    CHECK(sdr_db >= 15.0f);
    CHECK(left_db(&s, 8200, 10000) >= 20.0f);
    ae_echo_filter_destroy(filter);
    free_scene(&s);
}

/* Clocks 200 ppm apart: without correction the lag runs away by 3 frames per second. */
static void test_clock_skew_is_taken_out(void)
{
    static const double skews[] = {200e-6, -200e-6, 200e-6};
    for (int k = 0; k < 3; k++) {
        scene s = make_scene(16000, 14);
        scene straight = make_scene(16000, 15);
        const int channels = k < 2 ? 1 : 2;
        ae_echo_filter *filter = make_filter_for(s.rate, channels);
        fill_talker(&straight, straight.far, 0, straight.frames, 0.8f, 1);
        ae_copy(s.far, straight.far, s.frames);
        fill_echo(&straight, 0, straight.frames, 80 * 16, 7);
        if (channels > 1) {
            fill_talker(&straight, straight.right, 0, straight.frames, 0.8f, 2);
            ae_copy(s.right, straight.right, s.frames);
            add_echo(&straight, straight.right, 0, straight.frames, 82 * 16, 29);
        }
        for (int i = 64; i < s.frames - 64; i++) { /* read on the capture's clock */
            const double at = i * (1.0 - skews[k]);
            const int whole = (int)at;
            double sum = 0.0;
            for (int j = -15; j <= 16; j++) {
                const double x = 3.14159265358979 * (at - whole - j);
                sum += (fabs(x) < 1e-9 ? 1.0 : sin(x) / x * pow(cos(x / 34.0), 2.0)) *
                       (double)straight.echo[whole + j];
            }
            s.echo[i] = (float)sum;
        }
        run(filter, &s);
        ae_echo_filter_report report;
        ae_echo_filter_read(filter, &report);
        printf("skew %.0f ppm, %d far: found %.1f, left %.1f dB\n", 1e6 * skews[k], channels,
               (double)report.drift_ppm, (double)left_db(&s, 9000, 13500));
        CHECK_NEAR(report.drift_ppm, 1e6 * skews[k], 12.0);
        CHECK(left_db(&s, 9000, 13500) >= 25.0f);
        ae_echo_filter_destroy(filter);
        free_scene(&s);
        free_scene(&straight);
    }
}

/* A headset: the far end plays, nothing of it is in the capture. */
static void test_without_an_echo_path_the_near_end_passes(int channels)
{
    scene s = make_scene(16000, 6);
    ae_echo_filter *filter = make_filter_for(s.rate, channels);
    fill_talker(&s, s.far, 0, s.frames, 0.8f, 1);
    fill_talker(&s, s.right, 0, s.frames, 0.8f, 2);
    fill_talker(&s, s.near, 16000, s.frames, 0.4f, 99);
    run(filter, &s);
    float wrong = 0.0f;
    for (int i = 16000; i < s.frames; i++)
        wrong += (s.error[i] - s.near[i]) * (s.error[i] - s.near[i]);
    CHECK(wrong < 1e-4f * ae_energy(s.near + 16000, s.frames - 16000));
    CHECK(ae_echo_filter_view(filter)->trust == 0.0f);
    ae_echo_filter_destroy(filter);
    free_scene(&s);
}

/* The microphone cuts the echo's peaks off: what is cut off is no error. */
static void test_a_clipping_microphone(void)
{
    scene s = make_scene(16000, 6);
    ae_echo_filter *filter = make_filter(s.rate);
    fill_talker(&s, s.far, 0, s.frames, 0.9f, 1);
    fill_echo(&s, 0, s.frames, 40 * 16, 7);
    float peak = 0.0f;
    for (int i = 0; i < s.frames; i++) peak = fmaxf(peak, fabsf(s.echo[i]));
    for (int i = 0; i < s.frames; i++) s.echo[i] = ae_clamp(s.echo[i], -0.4f * peak, 0.4f * peak);
    run(filter, &s);
    printf("clipped echo: left %.1f dB\n", (double)left_db(&s, 4000, 6000));
    CHECK(left_db(&s, 4000, 6000) >= 25.0f);
    ae_echo_filter_destroy(filter);
    free_scene(&s);
}

/* No far end: the capture passes to the bit, whatever it is. */
static void test_silence_at_the_far_end_touches_nothing(void)
{
    scene s = make_scene(48000, 2);
    ae_echo_filter *filter = make_filter(s.rate);
    fill_noise(s.near, 0, s.frames, 0.5f, 3);
    run(filter, &s);
    for (int i = 0; i < s.frames; i++) CHECK(s.error[i] == s.near[i]);
    CHECK(ae_echo_filter_view(filter)->far_active == 0);
    ae_echo_filter_destroy(filter);
    free_scene(&s);
}

/* Far end and capture are the same signal for three seconds; then a normal echo, which must be
 * cancelled soon, and the near end must not be. */
static void test_a_far_end_equal_to_the_capture_passes_by(void)
{
    scene s = make_scene(16000, 8);
    ae_echo_filter *filter = make_filter(s.rate);
    fill_talker(&s, s.far, 0, s.frames, 0.8f, 1);
    ae_copy(s.echo, s.far, 3 * 16000);
    fill_echo(&s, 3 * 16000, s.frames, 60 * 16, 7);
    run(filter, &s);
    printf("after far end = capture: %.1f dB\n", (double)left_db(&s, 4000, 5000));
    CHECK(left_db(&s, 4000, 5000) >= 10.0f);
    CHECK(left_db(&s, 6000, 8000) >= 20.0f);
    ae_echo_filter_destroy(filter);
    free_scene(&s);
}

/* How far below the echo what is left lies, with one reference, the mean, or with both channels. */
static float mean_reference_db(const scene *s, int from_ms, int to_ms)
{
    scene mono = make_scene(s->rate, s->frames / s->rate);
    ae_echo_filter *filter = make_filter(s->rate);
    for (int i = 0; i < s->frames; i++) mono.far[i] = 0.5f * (s->far[i] + s->right[i]);
    ae_copy(mono.echo, s->echo, s->frames);
    ae_copy(mono.near, s->near, s->frames);
    run(filter, &mono);
    const float db = left_db(&mono, from_ms, to_ms);
    ae_echo_filter_destroy(filter);
    free_scene(&mono);
    return db;
}

/* The echo of both loudspeakers: different rooms, the right one 2 ms farther away. */
static void fill_stereo_echo(scene *s, int delay_ms)
{
    const int delay = delay_ms * s->rate / 1000;
    fill_echo(s, 0, s->frames, delay, 7);
    add_echo(s, s->right, 0, s->frames, delay + 2 * s->rate / 1000, 29);
    fill_noise(s->near, 0, s->frames, 1e-4f, 3);
}

/* What no single reference can do. */
static void test_two_signals_through_two_paths(void)
{
    static const int rates[] = {16000, 48000};
    for (int r = 0; r < 2; r++) {
        scene s = make_scene(rates[r], 5);
        ae_echo_filter *filter = make_filter_for(s.rate, 2);
        fill_talker(&s, s.far, 0, s.frames, 0.8f, 1);
        fill_talker(&s, s.right, 0, s.frames, 0.8f, 2);
        fill_stereo_echo(&s, 40);
        run(filter, &s);
        const float both_db = left_db(&s, 3000, 5000);
        const float mean_db = mean_reference_db(&s, 3000, 5000);
        printf("%d Hz, two signals: %.1f dB, mean reference %.1f dB\n", s.rate, (double)both_db,
               (double)mean_db);
        CHECK(both_db >= 30.0f && mean_db < 12.0f);
        ae_echo_filter_destroy(filter);
        free_scene(&s);
    }
}

/* What two channels may cost where one signal is in them, at 40 dB and more: a constraint that
 * comes round once in 18 blocks leaves a little in each row, and there are twice as many. */
static const float k_pair_db = 2.5f;

/* The same in both is as good as mono, from the start. */
static void test_one_signal_in_both_channels(void)
{
    scene s = make_scene(16000, 5);
    ae_echo_filter *filter = make_filter_for(s.rate, 2);
    fill_talker(&s, s.far, 0, s.frames, 0.8f, 1);
    ae_copy(s.right, s.far, s.frames);
    fill_stereo_echo(&s, 40);
    run(filter, &s);
    printf("same in both: %.1f dB in the second second, %.1f dB later; mean reference %.1f, %.1f\n",
           (double)left_db(&s, 1000, 2000), (double)left_db(&s, 3000, 5000),
           (double)mean_reference_db(&s, 1000, 2000), (double)mean_reference_db(&s, 3000, 5000));
    CHECK(left_db(&s, 1000, 2000) >= mean_reference_db(&s, 1000, 2000) - k_pair_db);
    CHECK(left_db(&s, 3000, 5000) >= mean_reference_db(&s, 3000, 5000) - k_pair_db);
    ae_echo_filter_destroy(filter);
    free_scene(&s);
}

static void test_a_channel_may_be_silent(void)
{
    for (int side = 0; side < 2; side++) {
        scene s = make_scene(16000, 5);
        ae_echo_filter *filter = make_filter_for(s.rate, 2);
        fill_talker(&s, side == 0 ? s.far : s.right, 0, s.frames, 0.8f, 1);
        fill_stereo_echo(&s, 40);
        run(filter, &s);
        ae_echo_filter_report report;
        ae_echo_filter_read(filter, &report);
        const float early_db = left_db(&s, 500, 1500);
        const float mean_db = mean_reference_db(&s, 500, 1500);
        printf("one channel silent: %.1f dB in the first second, mean reference %.1f\n",
               (double)early_db, (double)mean_db);
        CHECK(early_db >= mean_db - 4.0f && early_db >= 35.0f); /* half the prior: a slower start */
        CHECK(left_db(&s, 3000, 5000) >= 50.0f);
        CHECK(report.delay_confidence > 0.3f && ae_echo_filter_view(filter)->far_active);
        ae_echo_filter_destroy(filter);
        free_scene(&s);
    }
}

/* Their mean is silence, but the room is not. */
static void test_channels_in_antiphase(void)
{
    scene s = make_scene(16000, 5);
    ae_echo_filter *filter = make_filter_for(s.rate, 2);
    fill_talker(&s, s.far, 0, s.frames, 0.8f, 1);
    for (int i = 0; i < s.frames; i++) s.right[i] = -s.far[i];
    fill_stereo_echo(&s, 300);
    run(filter, &s);
    ae_echo_filter_report report;
    ae_echo_filter_read(filter, &report);
    CHECK(mean_reference_db(&s, 3000, 5000) < 1.0f);
    CHECK(left_db(&s, 3000, 5000) >= 30.0f && report.delay_ms > 200.0f);
    ae_echo_filter_destroy(filter);
    free_scene(&s);
}

static void pan(scene *s, int from, int to, float left, float right)
{
    for (int i = from; i < to; i++) s->right[i] = right * s->far[i];
    for (int i = from; i < to; i++) s->far[i] *= left;
}

/* From well left to well right: 20 dB in the first half second, as for a talker never heard. */
static void test_a_talker_moves_between_two_loudspeakers(void)
{
    scene s = make_scene(16000, 8);
    ae_echo_filter *filter = make_filter_for(s.rate, 2);
    fill_talker(&s, s.far, 0, s.frames, 0.8f, 1);
    pan(&s, 0, 4 * 16000, 0.9f, 0.4f);
    pan(&s, 4 * 16000, s.frames, 0.4f, 0.9f);
    fill_stereo_echo(&s, 40);
    run(filter, &s);
    printf("panned: %.1f dB, after the move %.1f, %.1f; mean reference %.1f, %.1f\n",
           (double)left_db(&s, 3000, 4000), (double)left_db(&s, 4000, 4500),
           (double)left_db(&s, 4500, 5000), (double)mean_reference_db(&s, 4000, 4500),
           (double)mean_reference_db(&s, 4500, 5000));
    CHECK(left_db(&s, 3000, 4000) >= 30.0f);
    CHECK(left_db(&s, 4000, 4500) >= 18.0f && left_db(&s, 4500, 5000) >= 30.0f);
    CHECK(left_db(&s, 4000, 4500) >= mean_reference_db(&s, 4000, 4500) + 6.0f);
    ae_echo_filter_destroy(filter);
    free_scene(&s);
}

/* One common bulk delay, found at the start and after a jump, and the path put there. */
static void test_delays_are_found_for_two_channels(void)
{
    scene s = make_scene(16000, 9);
    ae_echo_filter *filter = make_filter_for(s.rate, 2);
    fill_talker(&s, s.far, 0, s.frames, 0.8f, 1);
    fill_talker(&s, s.right, 0, s.frames, 0.5f, 2);
    fill_echo(&s, 0, 5 * 16000, 500 * 16, 7);
    add_echo(&s, s.right, 0, 5 * 16000, 502 * 16, 29);
    fill_echo(&s, 5 * 16000, s.frames, 590 * 16, 7);
    add_echo(&s, s.right, 5 * 16000, s.frames, 592 * 16, 29);
    run(filter, &s);
    ae_echo_filter_report report;
    ae_echo_filter_read(filter, &report);
    printf("two channels, jump: %.1f dB before, %.1f dB after 0.5 s\n",
           (double)left_db(&s, 3500, 5000), (double)left_db(&s, 5500, 6500));
    CHECK(left_db(&s, 3500, 5000) >= 25.0f && left_db(&s, 5500, 6500) >= 20.0f);
    CHECK(report.delay_ms <= 590.0f && report.delay_ms >= 564.0f);
    ae_echo_filter_destroy(filter);
    free_scene(&s);
}

/* One loudspeaker is heard 30 ms before the other, whichever it is and however loud: the bulk delay
 * leaves room for the first. */
static void test_two_loudspeakers_at_different_distances(void)
{
    static const float right_levels[] = {0.8f, 2.0f, 0.3f};
    for (int k = 0; k < 6; k++) {
        scene s = make_scene(16000, 6);
        ae_echo_filter *filter = make_filter_for(s.rate, 2);
        fill_talker(&s, s.far, 0, s.frames, 0.8f, 1);
        fill_talker(&s, s.right, 0, s.frames, right_levels[k / 2], 2);
        fill_echo(&s, 0, s.frames, (k % 2 ? 130 : 100) * 16, 7);
        add_echo(&s, s.right, 0, s.frames, (k % 2 ? 100 : 130) * 16, 29);
        run(filter, &s);
        CHECK(left_db(&s, 3000, 6000) >= 30.0f);
        ae_echo_filter_destroy(filter);
        free_scene(&s);
    }
}

/* Two signals that arrive together, one turned over: what either finder hears is half hidden by the
 * other signal, and must not look like a drift. */
static void test_two_signals_are_no_drift(void)
{
    scene s = make_scene(48000, 10);
    ae_echo_filter *filter = make_filter_for(s.rate, 2);
    fill_noise(s.far, 0, s.frames, 0.2f, 1);
    fill_noise(s.right, 0, s.frames, 0.2f, 2);
    for (int i = 1920; i < s.frames; i++)
        s.echo[i] = 0.4f * s.far[i - 1920] - 0.4f * s.right[i - 1920];
    run(filter, &s);
    ae_echo_filter_report report;
    ae_echo_filter_read(filter, &report);
    CHECK(report.drift_ppm == 0.0f && report.delay_ms <= 40.0f && report.delay_ms >= 14.0f);
    CHECK(left_db(&s, 2000, 10000) >= 35.0f);
    ae_echo_filter_destroy(filter);
    free_scene(&s);
}

/* The view shows both channels, also when they are each other's opposite. */
static void test_the_view_mixes_the_channels(void)
{
    scene s = make_scene(16000, 1);
    ae_echo_filter *filter = make_filter_for(s.rate, 2);
    fill_noise(s.far, 0, s.frames, 0.2f, 1);
    for (int i = 0; i < s.frames; i++) s.right[i] = i < s.frames / 2 ? s.far[i] : -s.far[i];
    for (int i = 0; i + s.block <= s.frames; i += s.block) {
        ae_echo_filter_process(filter, s.near + i, (const float *[]){s.far + i, s.right + i},
                               s.error + i);
        const float gain = i < s.frames / 2 ? 1.0f : 0.2f;
        for (int j = 0; j < s.block; j++) /* no echo: the bulk delay stays at zero */
            CHECK_NEAR(ae_echo_filter_view(filter)->far_end[j], gain * s.far[i + j], 1e-6);
    }
    ae_echo_filter_destroy(filter);
    free_scene(&s);
}

/* ---- what the view says ---- */

/* share[0]: of the near end in the output; share[1]: before learning; and the echo left in each. */
typedef struct {
    double share[2], left[2];
} comparison;

static comparison compare_errors(ae_echo_filter *filter, scene *s, int from_ms)
{
    comparison found = {{0.0, 0.0}, {0.0, 0.0}};
    double near = 1e-12, both[2] = {0.0, 0.0};
    for (int i = 0; i + s->block <= s->frames; i += s->block) {
        float capture[960];
        for (int j = 0; j < s->block; j++) capture[j] = s->echo[i + j] + s->near[i + j];
        ae_echo_filter_process(filter, capture, (const float *[]){s->far + i, s->right + i},
                               s->error + i);
        const ae_echo_view *view = ae_echo_filter_view(filter);
        for (int j = 0; i >= from_ms * s->rate / 1000 && j < s->block; j++) {
            const double talker = (double)s->near[i + j];
            const double error[2] = {(double)(capture[j] - view->echo[j]),
                                     (double)(capture[j] - view->prior_echo[j])};
            near += talker * talker;
            for (int e = 0; e < 2; e++) {
                both[e] += error[e] * talker;
                found.left[e] += pow(error[e] - talker, 2.0);
            }
        }
    }
    for (int e = 0; e < 2; e++) found.share[e] = both[e] / near;
    return found;
}

/* Echo alone: learning from a block leaves less of it. Beside a near end it takes some of that,
 * too, of which the prior echo holds nothing. */
static void test_the_prior_echo_holds_no_near_end(int channels)
{
    scene s = make_scene(16000, 6);
    ae_echo_filter *filter = make_filter_for(s.rate, channels);
    fill_talker(&s, s.far, 0, s.frames, 0.8f, 1);
    fill_talker(&s, s.right, 0, s.frames, 0.8f, 2);
    fill_echo(&s, 0, s.frames, 40 * 16, 7);
    const comparison alone = compare_errors(filter, &s, 0);
    CHECK(alone.left[0] < 0.5 * alone.left[1]);
    ae_echo_filter_reset(filter);
    fill_noise(s.near, 0, s.frames, 0.3f, 99);
    const comparison both = compare_errors(filter, &s, 1000);
    printf("%d far: near end in the output %.3f, before learning %.3f\n", channels, both.share[0],
           both.share[1]);
    CHECK_NEAR(both.share[1], 1.0, 0.01);
    CHECK(both.share[0] < both.share[1] - 0.01);
    ae_zero(s.far, s.frames);
    ae_zero(s.right, s.frames);
    compare_errors(filter, &s, 0);
    const ae_echo_view *view = ae_echo_filter_view(filter);
    CHECK(!view->far_active && memcmp(view->echo, view->prior_echo, 160 * sizeof(float)) == 0);
    ae_echo_filter_destroy(filter);
    free_scene(&s);
}

typedef struct {
    int held, active;         /* blocks */
    int last_held, lag_found; /* the last one held back, the first one with a lag; -1: none */
} history;

static history watch(ae_echo_filter *filter, const scene *s)
{
    history found = {.last_held = -1, .lag_found = -1};
    for (int i = 0; i + s->block <= s->frames; i += s->block) {
        float capture[960], error[960];
        for (int j = 0; j < s->block; j++) capture[j] = s->echo[i + j] + s->near[i + j];
        ae_echo_filter_process(filter, capture, (const float *[]){s->far + i}, error);
        const ae_echo_view *view = ae_echo_filter_view(filter);
        found.held += view->unheard;
        found.active += view->far_active;
        CHECK(!view->unheard || view->far_active);
        if (view->unheard) found.last_held = i / s->block;
        if (view->lag_found && found.lag_found < 0) found.lag_found = i / s->block;
    }
    return found;
}

/* A room that rings on for 0.7 s: half its echo's energy decays by 60 dB in that time, and what
 * lies behind the first 240 ms is 20 dB below the rest. Left by a filter of that length, taken by
 * one that grows. */
static void test_the_tail_grows_where_the_room_rings(void)
{
    scene s = make_scene(8000, 12);
    ae_echo_filter *filter = make_filter(s.rate);
    const int taps = s.rate * 36 / 100;
    float *path = calloc((size_t)taps, sizeof *path);
    uint32_t seed = 5;
    for (int j = 0; j < taps; j++)
        path[j] = 0.05f * ae_random(&seed) * expf(-6.9f * (float)j / (0.7f * (float)s.rate));
    fill_talker(&s, s.far, 0, s.frames, 0.8f, 1);
    for (int i = 0; i < s.frames; i++) {
        const int count = i < taps ? i + 1 : taps;
        float sum = 0.0f;
#pragma omp simd reduction(+ : sum)
        for (int j = 0; j < count; j++) sum += path[j] * s.far[i - j];
        s.echo[i] = sum;
    }
    run(filter, &s);
    const float left_db = ae_db_from_power(ae_energy(s.echo + s.frames / 2, s.frames / 2)) -
                          ae_db_from_power(ae_energy(s.error + s.frames / 2, s.frames / 2));
    printf("room of 0.7 s: ERLE %.1f dB\n", (double)left_db);
    CHECK(left_db > 25.0f); /* 240 ms of it cannot give more than 20.6 */
    free(path);
    ae_echo_filter_destroy(filter);
    free_scene(&s);
}

/* The first far end, and the microphone becomes louder with it: held back until the lag is known
 * and at most 12 blocks longer, or until the echo is cancelled; once. */
static void test_the_first_echo_is_held_back(void)
{
    scene s = make_scene(16000, 5);
    ae_echo_filter *filter = make_filter(s.rate);
    fill_talker(&s, s.far, 16000, s.frames, 0.8f, 1);
    fill_noise(s.near, 0, s.frames, 1e-3f, 3);
    fill_echo(&s, 0, s.frames, 300 * 16, 7);
    CHECK(!ae_echo_filter_view(filter)->unheard && !ae_echo_filter_view(filter)->lag_found);
    for (int round = 0; round < 2; round++) {
        const history first = watch(filter, &s);
        printf("held back for %d blocks, lag found in block %d\n", first.held, first.lag_found);
        CHECK(first.held > 5 && first.held <= 80);
        CHECK(first.lag_found >= 100 && first.last_held < first.lag_found + 25);
        const history second = watch(filter, &s); /* it is known now */
        CHECK(second.held == 0 && second.lag_found == 0);
        ae_echo_filter_reset(filter); /* and forgotten */
        CHECK(!ae_echo_filter_view(filter)->unheard && !ae_echo_filter_view(filter)->lag_found);
    }
    ae_echo_filter_destroy(filter);
    free_scene(&s);
}

/* No echo of this far end, but something that is heard while it plays and at no other time: held
 * back, as nobody can know, but for no more than 0.8 s in which the far end plays. */
static void test_holding_back_ends(void)
{
    for (int paused = 0; paused < 2; paused++) {
        scene s = make_scene(16000, 8);
        ae_echo_filter *filter = make_filter(s.rate);
        for (int at = 16000; at < s.frames; at += 8000) { /* all the time, or 0.1 s in every 0.5 */
            fill_noise(s.far, at, at + (paused ? 1600 : 8000), 0.3f, 1 + (uint32_t)at);
            fill_noise(s.near, at, at + (paused ? 1600 : 8000), 0.3f, 99 + (uint32_t)at);
        }
        const history found = watch(filter, &s);
        printf("no echo: held back for %d of %d active blocks\n", found.held, found.active);
        CHECK(found.active > 120 && found.held >= 60 && found.held <= 80);
        CHECK(found.lag_found < 0);
        ae_echo_filter_destroy(filter);
        free_scene(&s);
    }
}

/* Somebody was talking as loudly before: that is not held back. */
static void test_who_talked_before_is_not_held_back(void)
{
    scene s = make_scene(16000, 4);
    ae_echo_filter *filter = make_filter(s.rate);
    fill_talker(&s, s.far, 2 * 16000, s.frames, 0.8f, 1);
    fill_talker(&s, s.near, 16000, s.frames, 0.4f, 99);
    const history found = watch(filter, &s);
    CHECK(found.active > 150 && found.held == 0);
    ae_echo_filter_destroy(filter);
    free_scene(&s);
}

static void fill_weather(float *block, int count, int kind)
{
    static const float full = 64.0f;
    for (int i = 0; i < count; i++) {
        block[i] = kind == 0   ? 0.0f
                   : kind == 1 ? full
                   : kind == 2 ? (i % 100 < 50 ? full : -full)
                   : kind == 3 ? 1e-40f
                   : kind == 4 ? (i % 2 ? full : -full)
                               : (i == 7 ? full : 0.0f);
    }
}

/* Every pair of bad signals, then reset: bit-identical to a new filter, and beside another one. */
static void test_bad_weather_and_reset(int channels)
{
    scene a = make_scene(44100, 2), b = make_scene(44100, 2);
    ae_echo_filter *used = make_filter_for(44100, channels);
    ae_echo_filter *fresh = make_filter_for(44100, channels);
    float capture[441], far[441], right[441], error[441];
    for (int kind = 0; kind < 36; kind++)
        for (int i = 0; i < 12; i++) {
            fill_weather(capture, 441, kind % 6);
            fill_weather(far, 441, kind / 6);
            fill_weather(right, 441, (kind + i) % 6);
            ae_echo_filter_process(used, capture, (const float *[]){far, right}, error);
            for (int j = 0; j < 441; j++) CHECK(fabsf(error[j]) <= 64.0f * 100.0f);
        }
    const ae_echo_view *view = ae_echo_filter_view(used);
    for (int k = 0; k < view->misadjustment_bins; k++)
        CHECK(isfinite(view->misadjustment_power[k]));
    ae_echo_filter_reset(used);
    fill_talker(&a, a.far, 0, a.frames, 0.8f, 1);
    fill_talker(&b, b.far, 0, b.frames, 0.8f, 1);
    fill_talker(&a, a.right, 0, a.frames, 0.4f, 5);
    fill_talker(&b, b.right, 0, b.frames, 0.4f, 5);
    fill_echo(&a, 0, a.frames, 2000, 7);
    fill_echo(&b, 0, b.frames, 2000, 7);
    run(used, &a);
    run(fresh, &b);
    for (int i = 0; i < a.frames; i++) CHECK(a.error[i] == b.error[i]);
    ae_echo_filter_destroy(used);
    ae_echo_filter_destroy(fresh);
    free_scene(&a);
    free_scene(&b);
}

static void test_in_place_is_out_of_place(int channels)
{
    scene s = make_scene(16000, 2);
    ae_echo_filter *apart = make_filter_for(s.rate, channels);
    ae_echo_filter *within = make_filter_for(s.rate, channels);
    fill_talker(&s, s.far, 0, s.frames, 0.8f, 1);
    fill_noise(s.near, 0, s.frames, 0.01f, 3);
    fill_echo(&s, 0, s.frames, 800, 7);
    run(apart, &s);
    for (int i = 0; i + s.block <= s.frames; i += s.block)
        ae_echo_filter_process(within, s.capture + i, (const float *[]){s.far + i, s.right + i},
                               s.capture + i);
    for (int i = 0; i < s.frames; i++) CHECK(s.capture[i] == s.error[i]);
    const ae_echo_view *view = ae_echo_filter_view(within);
    CHECK(view->frames == s.block && view->misadjustment_bins == s.block + 1);
    for (int i = 0; i < s.block; i++) /* capture - echo is the output */
        CHECK_NEAR(view->capture[i] - view->echo[i], s.capture[s.frames - s.block + i], 1e-6);
    ae_echo_filter_destroy(apart);
    ae_echo_filter_destroy(within);
    free_scene(&s);
}

static void test_configuration_is_checked(void)
{
    ae_echo_filter *filter;
    const ae_echo_filter_config bad[] = {
        {7999, 240, 1000, 1}, {96001, 240, 1000, 1}, {48000, 39, 1000, 1},  {48000, 481, 1000, 1},
        {48000, 240, -1, 1},  {48000, 240, 1001, 1}, {48000, 240, 1000, 0}, {48000, 240, 1000, 3}};
    for (int i = 0; i < 8; i++)
        CHECK(ae_echo_filter_create(&filter, &bad[i]) == AE_ERROR_ARGUMENT && filter == NULL);
    const ae_echo_filter_config ends[] = {{8000, 40, 0, 1}, {96000, 480, 1000, 2}};
    for (int i = 0; i < 2; i++) {
        CHECK(ae_echo_filter_create(&filter, &ends[i]) == AE_OK);
        ae_echo_filter_destroy(filter);
    }
    ae_echo_filter_destroy(NULL);
}

int main(void)
{
    test_a_known_path_is_identified_at_every_rate();
    test_delays_up_to_a_second_are_found();
    test_a_delay_jump_is_recovered_from();
    test_a_new_room_is_learned();
    test_clock_skew_is_taken_out();
    test_a_clipping_microphone();
    test_silence_at_the_far_end_touches_nothing();
    test_a_far_end_equal_to_the_capture_passes_by();
    test_two_signals_through_two_paths();
    test_one_signal_in_both_channels();
    test_a_channel_may_be_silent();
    test_channels_in_antiphase();
    test_a_talker_moves_between_two_loudspeakers();
    test_delays_are_found_for_two_channels();
    test_two_loudspeakers_at_different_distances();
    test_two_signals_are_no_drift();
    test_the_view_mixes_the_channels();
    test_the_tail_grows_where_the_room_rings();
    test_the_first_echo_is_held_back();
    test_holding_back_ends();
    test_who_talked_before_is_not_held_back();
    for (int channels = 1; channels <= 2; channels++) {
        test_the_prior_echo_holds_no_near_end(channels);
        test_double_talk_does_not_diverge(channels);
        test_without_an_echo_path_the_near_end_passes(channels);
        test_bad_weather_and_reset(channels);
        test_in_place_is_out_of_place(channels);
    }
    test_configuration_is_checked();
    return AE_TEST_RESULT();
}
