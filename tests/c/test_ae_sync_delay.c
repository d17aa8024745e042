/* Truths: a delayed copy, bit for bit; a sine that slides at 5 ms/s is a sine 0.5 % off; bursts of
 * noise come out whole, once and in order, however the delay moves between them. */
#include "ae_common.h"
#include "ae_math.h"
#include "ae_sync_delay.h"
#include "ae_test.h"

#include <stdlib.h>

static const double k_pi = 3.14159265358979323846;
enum { k_rate = 48000, k_block = 480, k_max_block = 960, k_latency = 32 };

static ae_sync_delay *make(int rate_hz, int channels, float delay_ms, float initial_delay_ms)
{
    ae_sync_delay_config config = ae_sync_delay_default_config(rate_hz);
    config.channels = channels;
    config.delay_ms = delay_ms;
    config.initial_delay_ms = initial_delay_ms;
    ae_sync_delay *self = NULL;
    CHECK(ae_sync_delay_create(&self, &config) == AE_OK);
    return self;
}

static void mono(ae_sync_delay *self, const float *in, float *out)
{
    ae_sync_delay_process(self, &in, -1.0f, &out);
}

static ae_sync_delay_report read(const ae_sync_delay *self)
{
    ae_sync_delay_report report;
    ae_sync_delay_read(self, &report);
    return report;
}

static void run(ae_sync_delay *self, const float *in, float *out, int frames)
{
    for (int n = 0; n < frames; n += k_block) mono(self, in + n, out + n);
}

static void fill_noise(float *signal, int frames, float amplitude, uint32_t *seed)
{
    for (int i = 0; i < frames; i++) signal[i] = amplitude * ae_random(seed);
}

static void test_create_checks_every_field(void)
{
    const ae_sync_delay_config bad[] = {
        {7999, 1, 2000, 0, 0},       {96001, 1, 2000, 0, 0}, {48000, 0, 2000, 0, 0},
        {48000, 9, 2000, 0, 0},      {48000, 1, -1, 0, 0},   {48000, 1, 2001, 0, 0},
        {48000, 1, 500, 501, 0},     {48000, 1, 500, -1, 0}, {48000, 1, 500, NAN, 0},
        {48000, 1, 500, 0, 501},     {48000, 1, 500, 0, -1}, {48000, 1, 500, 0, NAN},
        {48000, 1, 500, 0, INFINITY}};
    for (int i = 0; i < (int)(sizeof(bad) / sizeof(bad[0])); i++) {
        ae_sync_delay *self = (ae_sync_delay *)&bad;
        CHECK(ae_sync_delay_create(&self, &bad[i]) == AE_ERROR_ARGUMENT && self == NULL);
    }
    ae_sync_delay_destroy(NULL);
}

static void test_at_rest_it_is_a_copy(void)
{
    const float delays_ms[] = {0.0f, 10.0f, 123.0f, 2000.0f};
    const int rates[] = {8000, 11025, 44100, 96000};
    enum { k_most = 5 * 96000 / 2 };
    float *in = malloc(k_most * sizeof(float)), *out = malloc(k_most * sizeof(float));
    for (int r = 0; r < 4; r++) {
        const int block = ae_block_frames(rates[r]), frames = rates[r] * 5 / 2 / block * block;
        for (int d = 0; d < 4; d++) {
            uint32_t seed = 5;
            fill_noise(in, frames, 1.0f, &seed);
            ae_sync_delay *self = make(rates[r], 1, delays_ms[d], delays_ms[d]);
            CHECK(ae_sync_delay_latency_frames(self) == k_latency);
            for (int n = 0; n < frames; n += block) mono(self, in + n, out + n);
            const int late = k_latency + (int)lround((double)delays_ms[d] * rates[r] / 1000.0);
            for (int n = 0; n < late; n++) CHECK(out[n] == 0.0f);
            CHECK(memcmp(out + late, in, (size_t)(frames - late) * sizeof(float)) == 0);
            CHECK_NEAR(read(self).delay_ms, delays_ms[d], 0.05); /* half a frame at 11025 Hz */
            CHECK(!read(self).moving && read(self).jump_count == 0);
            ae_sync_delay_destroy(self);
        }
    }
    free(in);
    free(out);
}

/* What is left of a signal when the sine of a known frequency that fits best is taken out, in dB.
 */
static double residual_db(const float *signal, int frames, double cycles_per_frame)
{
    double cc = 0, cs = 0, ss = 0, xc = 0, xs = 0, xx = 0;
    for (int n = 0; n < frames; n++) {
        const double c = cos(2 * k_pi * cycles_per_frame * n),
                     s = sin(2 * k_pi * cycles_per_frame * n), x = (double)signal[n];
        cc += c * c, cs += c * s, ss += s * s, xc += x * c, xs += x * s, xx += x * x;
    }
    const double d = cc * ss - cs * cs, a = (xc * ss - xs * cs) / d, b = (xs * cc - xc * cs) / d;
    double rest = 0;
    for (int n = 0; n < frames; n++) {
        const double fit =
            a * cos(2 * k_pi * cycles_per_frame * n) + b * sin(2 * k_pi * cycles_per_frame * n);
        rest += ((double)signal[n] - fit) * ((double)signal[n] - fit);
    }
    return 10 * log10(rest / xx);
}

static void test_a_sliding_sine_stays_a_sine(void)
{
    const double tones_hz[] = {1000, 3000, 10000}, worst_db = -105;
    enum { k_frames = 3 * k_rate };
    static float in[k_frames], out[k_frames];
    for (int t = 0; t < 3; t++) {
        for (int back = 0; back < 2; back++) {
            for (int n = 0; n < k_frames; n++)
                in[n] = 0.5f * (float)sin(2 * k_pi * tones_hz[t] * n / k_rate);
            const float start_ms = back ? 1000.0f : 0.0f;
            ae_sync_delay *self = make(k_rate, 1, start_ms, start_ms);
            run(self, in, out, k_rate * 2);
            ae_sync_delay_set_delay_ms(self, 1000.0f - start_ms);
            run(self, in + k_rate * 2, out + k_rate * 2, k_rate);
            CHECK(read(self).moving && read(self).jump_count == 0);
            const double ratio = back ? 1.005 : 0.995;
            const double found_db =
                residual_db(out + k_rate * 5 / 2, k_rate / 4, ratio * tones_hz[t] / k_rate);
            printf("%.0f Hz at %.3f of its speed: THD+N %.1f dB\n", tones_hz[t], ratio, found_db);
            CHECK(found_db < worst_db);
            ae_sync_delay_destroy(self);
        }
    }
}

/* In a tone there is no pause: all the way is slid, at 5 ms/s and no faster, and ends exactly. */
static void test_it_slides_where_there_is_no_pause(void)
{
    enum { k_frames = 12 * k_rate };
    float *in = malloc(k_frames * sizeof(float)), *out = malloc(k_frames * sizeof(float));
    for (int n = 0; n < k_frames; n++) in[n] = 0.1f * (float)sin(2 * k_pi * 150.0 * n / k_rate);
    ae_sync_delay *self = make(k_rate, 1, 0.0f, 0.0f);
    run(self, in, out, k_rate);
    ae_sync_delay_set_delay_ms(self, 30.0f);
    float before_ms = 0.0f;
    double arrival_s = 0.0;
    for (int n = k_rate; n < k_frames; n += k_block) {
        if (n == 9 * k_rate) ae_sync_delay_set_delay_ms(self, 25.0f);
        mono(self, in + n, out + n);
        const ae_sync_delay_report report = read(self);
        CHECK(fabsf(report.delay_ms - before_ms) <= 0.0501f);
        before_ms = report.delay_ms;
        if (!report.moving && arrival_s == 0.0) arrival_s = (double)n / k_rate - 1.0;
    }
    CHECK(arrival_s > 6.0 && arrival_s < 6.1);
    CHECK(read(self).delay_ms == 25.0f && !read(self).moving && read(self).jump_count == 0);
    const int late = k_latency + 25 * k_rate / 1000, last = k_frames - k_rate / 2;
    CHECK(memcmp(out + last, in + last - late, k_rate / 2 * sizeof(float)) == 0);
    /* No click: beyond the run-in the slope never bends more than that of the sine. */
    double bend = 0.0;
    for (int n = k_rate / 2; n < k_frames; n++)
        bend = fmax(bend, fabs((double)out[n] - 2.0 * (double)out[n - 1] + (double)out[n - 2]));
    CHECK(bend < 1.03 * 0.1 * pow(2 * k_pi * 150.0 / k_rate, 2));
    ae_sync_delay_destroy(self);
    free(in);
    free(out);
}

enum { k_words = 12, k_word = k_rate / 2, k_pause = k_rate * 3 / 10 };

/* Words of noise 0.5 s long, with pauses of 0.3 s in which a room 46 dB lower goes on. */
static void make_words(float *signal)
{
    uint32_t seed = 11;
    for (int w = 0; w < k_words; w++) {
        fill_noise(signal, k_word, 0.3f, &seed);
        fill_noise(signal + k_word, k_pause, 0.0015f, &seed);
        signal += k_word + k_pause;
    }
}

/* Whether one word is somewhere in the output from `from` on, but for its edges; where it ends. */
static int find_word(const float *out, int from, int frames, const float *word)
{
    const int edge = k_rate / 100, length = k_word - 2 * edge;
    for (int n = from; n + length <= frames; n++) {
        if (out[n] == word[edge] && memcmp(out + n, word + edge, (size_t)length * 4) == 0)
            return n + length;
    }
    return -1;
}

static int loud_frames(const float *signal, int frames)
{
    int count = 0;
    for (int n = 0; n < frames; n++) count += fabsf(signal[n]) > 0.002f;
    return count;
}

static void test_jumps_neither_cut_nor_repeat_a_word(void)
{
    enum { k_frames = k_words * (k_word + k_pause), k_all = k_frames + 3 * k_rate };
    static float in[k_all], out[k_all];
    const float from_ms[] = {0.0f, 1.0f, 300.0f, 2000.0f}, to_ms[] = {2000.0f, 181.0f, 40.0f, 0.0f};
    make_words(in);
    for (int i = 0; i < 4; i++) {
        ae_sync_delay *self = make(k_rate, 1, from_ms[i], from_ms[i]);
        run(self, in, out, k_word + k_pause + k_word);
        ae_sync_delay_set_delay_ms(self, to_ms[i]);
        int moving = 0;
        for (int n = k_word + k_pause + k_word; n < k_all; n += k_block) {
            mono(self, in + n, out + n);
            moving += read(self).moving;
        }
        printf("%.0f to %.0f ms: %d jumps, %.2f s\n", (double)from_ms[i], (double)to_ms[i],
               read(self).jump_count, (double)moving * k_block / k_rate);
        CHECK(read(self).jump_count > 0 && read(self).delay_ms == to_ms[i]);
        CHECK(moving < (i == 3 ? 6 : 3) * k_rate / k_block); /* by sliding: 400, 36, 52, 400 s */
        /* Sliding changes the samples of the words that it goes through: they may be missing. The
         * time that is loud is that of all of them. */
        int at = 0, missing = 0;
        for (int w = 0; w < k_words; w++) {
            const int end = find_word(out, at, k_all, in + w * (k_word + k_pause));
            missing += end < 0;
            at = end < 0 ? at : end;
        }
        CHECK(missing <= (i == 3 ? 9 : 2));
        CHECK_NEAR(loud_frames(out, k_all), loud_frames(in, k_frames), 0.01 * k_words * k_word);
        ae_sync_delay_destroy(self);
    }
}

/* The same pauses, but the suppressor hears speech in them: then it only slides. */
static void test_a_known_voice_forbids_jumps(void)
{
    enum { k_frames = 4 * (k_word + k_pause) };
    static float in[k_words * (k_word + k_pause)], out[k_max_block];
    make_words(in);
    const float probabilities[] = {-1.0f, 0.0f, 0.9f, NAN};
    for (int i = 0; i < 4; i++) {
        ae_sync_delay *self = make(k_rate, 1, 0.0f, 0.0f);
        const float *from = in;
        float *to = out;
        for (int n = 0; n < k_frames; n += k_block) {
            if (n == k_word) ae_sync_delay_set_delay_ms(self, 500.0f);
            from = in + n;
            ae_sync_delay_process(self, &from, n == 0 ? -1.0f : probabilities[i], &to);
        }
        CHECK((read(self).jump_count == 0) == (i == 2));
        ae_sync_delay_destroy(self);
    }
}

/* Digital silence in a recording must not make its room noise, 23 dB under the words, a programme;
 * with nobody to ask it may be a whisper, and is slid through. */
static void test_a_pause_is_known_by_the_words_around_it(void)
{
    enum { k_frames = 8 * k_rate };
    static float in[k_frames], out[k_max_block];
    uint32_t seed = 5;
    for (int n = 0; n < k_frames; n += k_rate) {
        fill_noise(in + n, k_word, 0.3f, &seed);
        fill_noise(in + n + k_word, k_word, 0.02f, &seed);
        ae_zero(in + n + k_rate - 3 * k_block, 3 * k_block);
    }
    for (int asked = 0; asked < 2; asked++) {
        ae_sync_delay *self = make(k_rate, 1, 0.0f, 0.0f);
        for (int n = 0; n < k_frames; n += k_block) {
            const float *from = in + n;
            float *to = out;
            if (n == 4 * k_rate) ae_sync_delay_set_delay_ms(self, 300.0f);
            ae_sync_delay_process(self, &from, asked ? 0.0f : -1.0f, &to);
        }
        CHECK((read(self).jump_count > 0) == asked);
        ae_sync_delay_destroy(self);
    }
}

/* From the loudest word to room noise that grows by 6 dB: a click would stand out of the noise's
 * second difference, which is 4 times its largest sample at most. */
static void test_the_largest_jump_does_not_click(void)
{
    enum { k_frames = 6 * k_rate };
    static float in[k_frames], out[k_frames];
    uint32_t seed = 3;
    for (int up = 0; up < 2; up++) {
        fill_noise(in, k_rate, 0.5f, &seed);
        fill_noise(in + k_rate, 2 * k_rate, 0.001f, &seed);
        fill_noise(in + 3 * k_rate, 3 * k_rate, 0.002f, &seed);
        ae_sync_delay *self = make(k_rate, 1, up ? 0.0f : 2000.0f, up ? 0.0f : 2000.0f);
        run(self, in, out, k_frames / 2);
        ae_sync_delay_set_delay_ms(self, up ? 2000.0f : 0.0f);
        run(self, in + k_frames / 2, out + k_frames / 2, k_frames / 2);
        CHECK(read(self).jump_count > 0 && !read(self).moving);
        float largest = 0.0f;
        for (int n = k_frames / 2 + k_rate / 10; n < k_frames; n++)
            largest = fmaxf(largest, fabsf(out[n] - 2.0f * out[n - 1] + out[n - 2]));
        CHECK(largest <= 8.0f * 0.002f * 1.42f / 2.0f); /* 1.42: two fades of equal power */
        ae_sync_delay_destroy(self);
    }
}

static void test_in_place_reset_and_independence(void)
{
    enum { k_channels = 3, k_blocks = 150 };
    static float words[k_words * (k_word + k_pause)];
    static float first[k_blocks][k_channels][k_max_block];
    make_words(words);
    ae_sync_delay *self = make(k_rate, k_channels, 20.0f, 20.0f);
    ae_sync_delay *other = make(k_rate, 1, 700.0f, 0.0f);
    for (int run = 0; run < 3; run++) { /* 0: out of place, 1: in place after reset, 2: new, mono */
        float out[k_channels][k_max_block], elsewhere[k_max_block];
        ae_sync_delay *fresh = make(k_rate, 1, 20.0f, 20.0f);
        for (int b = 0; b < k_blocks; b++) {
            const float *in = words + b * k_block;
            const float *from[k_channels] = {in, in, in};
            float *to[k_channels] = {out[0], out[1], out[2]};
            mono(other, in, elsewhere); /* disturbs nobody else */
            if (b == 10) {
                ae_sync_delay_set_delay_ms(self, 333.0f);
                ae_sync_delay_set_delay_ms(fresh, 333.0f);
            }
            if (run == 0) {
                ae_sync_delay_process(self, from, -1.0f, to);
                memcpy(first[b], out, sizeof(out));
            } else if (run == 1) {
                for (int c = 0; c < k_channels; c++) ae_copy(out[c], in, k_block);
                ae_sync_delay_process(self, (const float *const *)to, -1.0f, to);
            } else {
                mono(fresh, in, out[0]);
            }
            for (int c = 0; c < (run == 2 ? 1 : k_channels); c++)
                CHECK(memcmp(out[c], first[b][c], k_block * sizeof(float)) == 0);
        }
        CHECK(run == 2 || read(self).jump_count > 0);
        ae_sync_delay_destroy(fresh);
        ae_sync_delay_set_delay_ms(self, 20.0f);
        ae_sync_delay_reset(self);
        CHECK(read(self).delay_ms == 20.0f && read(self).jump_count == 0);
    }
    ae_sync_delay_destroy(self);
    ae_sync_delay_destroy(other);
}

static void test_bad_weather(void)
{
    const float values[] = {0.0f, 64.0f, NAN, INFINITY, 3e38f, -3e38f, 1e-40f, 1.0f};
    const float delays_ms[] = {1e9f, -5.0f, NAN, INFINITY, 300.0f, 0.0f, 2000.0f};
    const int rates[] = {8000, 8001, 11025, 95999};
    for (int r = 0; r < 4; r++) {
        ae_sync_delay *self = make(rates[r], 1, 0.0f, 0.0f);
        const uint64_t allocations = ae_allocation_count();
        const int block = ae_block_frames(rates[r]);
        float in[k_max_block], out[k_max_block];
        uint32_t seed = 9;
        for (int b = 0; b < 3000; b++) {
            fill_noise(in, k_max_block, b / 50 % 2 != 0 ? 1.0f : 1e-4f, &seed);
            for (int i = 0; b < 2000 && i < block; i++)
                in[i] = b % 3 == 0 ? values[b / 20 % 8] : in[i];
            if (b % 37 == 0 && b < 2000) ae_sync_delay_set_delay_ms(self, delays_ms[b / 37 % 7]);
            mono(self, in, out);
            for (int i = 0; i < block; i++) CHECK(fabsf(out[i]) <= 1.5f * 64.0f);
            CHECK(read(self).delay_ms >= 0.0f && read(self).delay_ms <= 2000.0f);
        }
        for (int b = 0; b < 300; b++) {
            ae_fill(in, 0.0f, k_max_block);
            mono(self, in, out);
        }
        for (int i = 0; i < block; i++) CHECK(out[i] == 0.0f);
        CHECK(!read(self).moving);
        CHECK(ae_allocation_count() == allocations);
        ae_sync_delay_destroy(self);
    }
}

/* An object that takes over gives what the first would have given; one with a shorter line too, as
 * far as it goes; blended blocks come out as blended, and where they have been heard they stay. */
static void test_take_over(void)
{
    enum { k_frames = 2 * k_rate, k_late = k_latency + k_rate / 5 };
    static float in[k_frames], own[k_frames], straight[k_frames];
    uint32_t seed = 21;
    fill_noise(in, k_frames, 0.3f, &seed);
    ae_sync_delay *old = make(k_rate, 1, 200.0f, 200.0f);
    ae_sync_delay_config config = ae_sync_delay_default_config(k_rate);
    config.max_delay_ms = 200;
    config.delay_ms = 200.0f;
    ae_sync_delay *next = NULL;
    CHECK(ae_sync_delay_create(&next, &config) == AE_OK);
    run(old, in, straight, k_rate);
    ae_sync_delay_take_over(next, old);
    run(old, in + k_rate, straight + k_rate, k_block);
    for (int n = 0; n < k_block; n++)
        own[n] = -in[k_rate + n]; /* the next plan gives another signal */
    mono(next, own, own);
    CHECK(memcmp(own, straight + k_rate, k_block * sizeof(float)) == 0);
    ae_sync_delay_blend_newest(next, old, 0.0f, 1.0f);
    run(next, in + k_rate + k_block, own + k_rate + k_block, k_rate - k_block);
    for (int n = 0; n < k_block; n++) { /* the fade comes out as late as all else */
        const float share = (float)(n + 1) / k_block, from = in[k_rate + n];
        CHECK_NEAR(own[k_rate + k_late + n], from + share * (-from - from), 1e-6);
    }
    const int after = k_rate + k_late + k_block;
    CHECK(memcmp(own + after, in + after - k_late, (size_t)(k_frames - after) * 4) == 0);
    ae_sync_delay *stereo = make(k_rate, 2, 0.0f, 0.0f);
    ae_sync_delay_take_over(stereo, old); /* does not fit */
    CHECK(read(stereo).delay_ms == 0.0f);
    ae_sync_delay_destroy(stereo);
    ae_sync_delay_destroy(old);
    ae_sync_delay_destroy(next);
}

int main(void)
{
    test_create_checks_every_field();
    test_at_rest_it_is_a_copy();
    test_a_sliding_sine_stays_a_sine();
    test_it_slides_where_there_is_no_pause();
    test_jumps_neither_cut_nor_repeat_a_word();
    test_a_known_voice_forbids_jumps();
    test_a_pause_is_known_by_the_words_around_it();
    test_the_largest_jump_does_not_click();
    test_in_place_reset_and_independence();
    test_bad_weather();
    test_take_over();
    return AE_TEST_RESULT();
}
