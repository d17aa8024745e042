#include "ae_echo_filter.h"

#include "ae_math.h"
#include "ae_test.h"

#include <stdlib.h>

/* A scene in blocks: far end, its echo through a random 30 ms path behind a delay, near end. */
typedef struct {
    int rate, block, frames;
    float *far, *echo, *near, *capture, *error;
} scene;

static scene make_scene(int rate, int seconds)
{
    scene s = {.rate = rate, .block = ae_block_frames(rate), .frames = rate * seconds};
    float **planes[] = {&s.far, &s.echo, &s.near, &s.capture, &s.error};
    for (int i = 0; i < 5; i++) *planes[i] = calloc((size_t)s.frames, sizeof(float));
    return s;
}

static void free_scene(scene *s)
{
    free(s->far);
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

/* echo[i] for i in from .. to: the far end `delay` frames ago through a path made from `seed`. */
static void fill_echo(scene *s, int from, int to, int delay, uint32_t seed)
{
    const int taps = s->rate * 30 / 1000;
    float *path = calloc((size_t)taps, sizeof *path);
    for (int j = 0; j < taps; j++)
        path[j] = 0.15f * ae_random(&seed) * expf(-6.0f * (float)j / (float)taps);
    path[0] = 0.5f;
    for (int i = from; i < to; i++) {
        float sum = 0.0f;
        for (int j = 0; j < taps && i - delay - j >= 0; j++) sum += path[j] * s->far[i - delay - j];
        s->echo[i] = sum;
    }
    free(path);
}

static ae_echo_filter *make_filter(int rate)
{
    ae_echo_filter *filter = NULL;
    const ae_echo_filter_config config = ae_echo_filter_default_config(rate);
    CHECK(ae_echo_filter_create(&filter, &config) == AE_OK);
    return filter;
}

static void run(ae_echo_filter *filter, scene *s)
{
    for (int i = 0; i < s->frames; i++) s->capture[i] = s->echo[i] + s->near[i];
    const uint64_t before = ae_allocation_count();
    for (int i = 0; i + s->block <= s->frames; i += s->block) {
        ae_echo_filter_process(filter, s->capture + i, s->far + i, s->error + i);
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
static void test_double_talk_does_not_diverge(void)
{
    scene s = make_scene(16000, 10);
    ae_echo_filter *filter = make_filter(s.rate);
    fill_talker(&s, s.far, 0, s.frames, 0.8f, 1);
    fill_talker(&s, s.near, 4 * 16000, 8 * 16000, 0.4f, 99);
    fill_echo(&s, 0, s.frames, 40 * 16, 7);
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
    static const double skews[] = {200e-6, -200e-6};
    for (int k = 0; k < 2; k++) {
        scene s = make_scene(16000, 14);
        scene straight = make_scene(16000, 15);
        ae_echo_filter *filter = make_filter(s.rate);
        fill_talker(&straight, straight.far, 0, straight.frames, 0.8f, 1);
        ae_copy(s.far, straight.far, s.frames);
        fill_echo(&straight, 0, straight.frames, 80 * 16, 7);
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
        printf("skew %.0f ppm: found %.1f, left %.1f dB\n", 1e6 * skews[k],
               (double)report.drift_ppm, (double)left_db(&s, 9000, 13500));
        CHECK_NEAR(report.drift_ppm, 1e6 * skews[k], 12.0);
        CHECK(left_db(&s, 9000, 13500) >= 25.0f);
        ae_echo_filter_destroy(filter);
        free_scene(&s);
        free_scene(&straight);
    }
}

/* A headset: the far end plays, nothing of it is in the capture. */
static void test_without_an_echo_path_the_near_end_passes(void)
{
    scene s = make_scene(16000, 6);
    ae_echo_filter *filter = make_filter(s.rate);
    fill_talker(&s, s.far, 0, s.frames, 0.8f, 1);
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
static void test_bad_weather_and_reset(void)
{
    scene a = make_scene(44100, 2), b = make_scene(44100, 2);
    ae_echo_filter *used = make_filter(44100), *fresh = make_filter(44100);
    float capture[441], far[441], error[441];
    for (int kind = 0; kind < 36; kind++)
        for (int i = 0; i < 12; i++) {
            fill_weather(capture, 441, kind % 6);
            fill_weather(far, 441, kind / 6);
            ae_echo_filter_process(used, capture, far, error);
            for (int j = 0; j < 441; j++) CHECK(fabsf(error[j]) <= 64.0f * 100.0f);
        }
    const ae_echo_view *view = ae_echo_filter_view(used);
    for (int k = 0; k < view->misadjustment_bins; k++)
        CHECK(isfinite(view->misadjustment_power[k]));
    ae_echo_filter_reset(used);
    fill_talker(&a, a.far, 0, a.frames, 0.8f, 1);
    fill_talker(&b, b.far, 0, b.frames, 0.8f, 1);
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

static void test_in_place_is_out_of_place(void)
{
    scene s = make_scene(16000, 2);
    ae_echo_filter *apart = make_filter(s.rate), *within = make_filter(s.rate);
    fill_talker(&s, s.far, 0, s.frames, 0.8f, 1);
    fill_noise(s.near, 0, s.frames, 0.01f, 3);
    fill_echo(&s, 0, s.frames, 800, 7);
    run(apart, &s);
    for (int i = 0; i + s.block <= s.frames; i += s.block)
        ae_echo_filter_process(within, s.capture + i, s.far + i, s.capture + i);
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
    const ae_echo_filter_config bad[] = {{7999, 240, 1000}, {96001, 240, 1000},
                                         {48000, 39, 1000}, {48000, 481, 1000},
                                         {48000, 240, -1},  {48000, 240, 1001}};
    for (int i = 0; i < 6; i++)
        CHECK(ae_echo_filter_create(&filter, &bad[i]) == AE_ERROR_ARGUMENT && filter == NULL);
    const ae_echo_filter_config ends[] = {{8000, 40, 0}, {96000, 480, 1000}};
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
    test_double_talk_does_not_diverge();
    test_clock_skew_is_taken_out();
    test_without_an_echo_path_the_near_end_passes();
    test_a_clipping_microphone();
    test_silence_at_the_far_end_touches_nothing();
    test_a_far_end_equal_to_the_capture_passes_by();
    test_bad_weather_and_reset();
    test_in_place_is_out_of_place();
    test_configuration_is_checked();
    return AE_TEST_RESULT();
}
