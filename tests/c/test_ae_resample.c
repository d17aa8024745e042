/* Truths: closed-form sines at the output rate (gain, delay, signal to noise by least squares), the
 * stated frame count, and silence where a stopped tone would alias. */
#include "ae_common.h"
#include "ae_math.h"
#include "ae_resample.h"
#include "ae_test.h"

#include <stdlib.h>

static const double k_pi = 3.14159265358979323846;
static const int k_pairs[][2] = {{48000, 44100}, {44100, 48000},  {48000, 16000}, {8000, 48000},
                                 {96000, 8000},  {16000, 192000}, {11025, 44100}, {44100, 44101},
                                 {48000, 48000}, {95999, 8001},   {8001, 95999},  {22050, 48000}};
enum { k_pair_count = (int)(sizeof(k_pairs) / sizeof(k_pairs[0])) };

static ae_resample *make(int input_rate_hz, int output_rate_hz, int channels)
{
    const ae_resample_config config = {input_rate_hz, output_rate_hz, channels, 0};
    ae_resample *self = NULL;
    CHECK(ae_resample_create(&self, &config) == AE_OK);
    return self;
}

static void test_create_checks_every_field(void)
{
    const ae_resample_config bad[] = {
        {7999, 48000, 1, 0}, {48000, 7999, 1, 0},   {192001, 48000, 1, 0}, {48000, 192001, 1, 0},
        {8000, 96001, 1, 0}, {96001, 8000, 1, 0},   {48000, 44100, 0, 0},  {48000, 44100, 9, 0},
        {-1, 48000, 1, 0},   {48000, 48000, 1, 15}, {48000, 48000, 1, 97}, {48000, 48000, 1, -1}};
    for (int i = 0; i < (int)(sizeof(bad) / sizeof(bad[0])); i++) {
        ae_resample *self = (ae_resample *)&bad;
        CHECK(ae_resample_create(&self, &bad[i]) == AE_ERROR_ARGUMENT && self == NULL);
    }
    ae_resample_destroy(NULL);
}

/* Runs `frames` frames of one channel through in blocks of `block` (0: random lengths). */
static int run(ae_resample *self, const float *in, int frames, float *out, int block)
{
    uint32_t seed = 99;
    int written = 0;
    for (int taken = 0, length; taken < frames; taken += length) {
        length = block > 0 ? block : (int)(700.0f * fabsf(ae_random(&seed)));
        if (length > frames - taken) length = frames - taken;
        const float *from = in + taken;
        float *to = out + written;
        written +=
            ae_resample_process(self, &from, length, &to, ae_resample_output_bound(self, length));
    }
    return written;
}

static void fill_sine(float *signal, int frames, double frequency_hz, double sample_rate_hz)
{
    for (int i = 0; i < frames; i++)
        signal[i] = (float)sin(2.0 * k_pi * frequency_hz * i / sample_rate_hz);
}

typedef struct {
    double gain;            /* of the part in phase with the sine where it should be */
    double quadrature;      /* what a wrong delay would leave */
    double signal_to_noise; /* dB; noise is all that is not this frequency */
} sine_fit;

/* Least squares of a sin + b cos on the output, phase referred to the delayed input. */
static sine_fit fit_sine(const float *y, int from, int to, double cycles_per_frame, int latency)
{
    double ss = 0, sc = 0, cc = 0, ys = 0, yc = 0;
    for (int n = from; n < to; n++) {
        const double angle = 2.0 * k_pi * fmod(cycles_per_frame * (n - latency), 1.0);
        const double s = sin(angle), c = cos(angle), v = (double)y[n];
        ss += s * s, sc += s * c, cc += c * c, ys += v * s, yc += v * c;
    }
    const double determinant = ss * cc - sc * sc;
    const double a = (ys * cc - yc * sc) / determinant, b = (yc * ss - ys * sc) / determinant;
    const double signal = a * a * ss + 2.0 * a * b * sc + b * b * cc;
    double noise = 0;
    for (int n = from; n < to; n++) {
        const double angle = 2.0 * k_pi * fmod(cycles_per_frame * (n - latency), 1.0);
        const double e = (double)y[n] - a * sin(angle) - b * cos(angle);
        noise += e * e;
    }
    return (sine_fit){a, b, 10.0 * log10(signal / noise)};
}

static void test_sines_arrive_whole_and_on_time(void)
{
    const double shares[] = {0.02, 0.31, 0.66, 0.91}; /* of the lower Nyquist frequency */
    for (int p = 0; p < k_pair_count; p++) {
        const int from = k_pairs[p][0], to = k_pairs[p][1], frames = from / 8;
        float *in = malloc((size_t)frames * sizeof(float));
        ae_resample *self = make(from, to, 1);
        const int latency = ae_resample_latency_frames(self);
        float *out = malloc((size_t)ae_resample_output_bound(self, frames) * sizeof(float));
        for (int k = 0; k < 4; k++) {
            const double frequency_hz = shares[k] * 0.5 * fmin(from, to);
            ae_resample_reset(self);
            fill_sine(in, frames, frequency_hz, from);
            const int given = run(self, in, frames, out, frames);
            CHECK(given == (int)(((int64_t)frames * to + from - 1) / from));
            const sine_fit fit = fit_sine(out, 2 * latency, given, frequency_hz / to, latency);
            CHECK_NEAR(20.0 * log10(fit.gain), 0.0, 2e-4);
            CHECK_NEAR(fit.quadrature, 0.0, 1e-6);
            CHECK(fit.signal_to_noise >= 128.0); /* between table rows; on them 135 */
        }
        ae_resample_destroy(self);
        free(in);
        free(out);
    }
}

static void test_stopped_tones_do_not_alias(void)
{
    for (int p = 0; p < k_pair_count; p++) {
        const int from = k_pairs[p][0], to = k_pairs[p][1], frames = from / 16;
        if (to >= from) continue;
        float *in = malloc((size_t)frames * sizeof(float));
        ae_resample *self = make(from, to, 1);
        const int latency = ae_resample_latency_frames(self);
        float *out = malloc((size_t)ae_resample_output_bound(self, frames) * sizeof(float));
        double worst = -999;
        for (double f = 0.5001 * to; f < 0.5 * from; f *= 1.05) {
            ae_resample_reset(self);
            fill_sine(in, frames, f, from);
            const int given = run(self, in, frames, out, frames);
            double power = 0;
            for (int n = 2 * latency; n < given; n++)
                power += (double)out[n] * (double)out[n] / (given - 2 * latency);
            worst = fmax(worst, 10.0 * log10(2.0 * power + 1e-30));
        }
        CHECK(worst <= -130.0); /* what the window was made for */
        ae_resample_destroy(self);
        free(in);
        free(out);
    }
}

static void fill_noise(float *signal, int frames, float amplitude)
{
    uint32_t seed = 5;
    for (int i = 0; i < frames; i++) signal[i] = amplitude * ae_random(&seed);
}

/* Whole file, single frames, 17, 480 and random blocks, after a reset and in a new object; while a
 * second object runs. Steered too: the steering then moves with the output and not with the calls.
 */
static void test_any_blocking_gives_the_same_samples(void)
{
    enum { k_frames = 1300 };
    static float in[k_frames], whole[12 * k_frames + 8], out[12 * k_frames + 8], other_out[800];
    const int blocks[] = {k_frames, 1, 17, 480, 0};
    fill_noise(in, k_frames, 1.0f);
    for (int p = 0; p < k_pair_count; p++) {
        ae_resample *self = make(k_pairs[p][0], k_pairs[p][1], 1), *other = make(48000, 32000, 1);
        for (int steered = 0; steered < 2; steered++) {
            int expected = 0;
            for (int b = 0; b < 5; b++) {
                ae_resample *fresh = b == 2 ? make(k_pairs[p][0], k_pairs[p][1], 1) : NULL;
                ae_resample *used = fresh != NULL ? fresh : self;
                ae_resample_set_ppm(used, 0.0f);
                ae_resample_reset(used);
                if (steered) ae_resample_set_ppm(used, -700.0f);
                const uint64_t allocations = ae_allocation_count();
                const int given = run(used, in, k_frames, b == 0 ? whole : out, blocks[b]);
                run(other, in, 1000, other_out, 100);
                CHECK(ae_allocation_count() == allocations);
                if (b == 0) expected = given;
                CHECK(given == expected);
                CHECK(b == 0 || memcmp(out, whole, (size_t)given * sizeof(float)) == 0);
                ae_resample_destroy(fresh);
            }
        }
        ae_resample_destroy(self);
        ae_resample_destroy(other);
    }
}

static void test_every_prefix_has_the_stated_count(void)
{
    for (int p = 0; p < k_pair_count; p++) {
        const int from = k_pairs[p][0], to = k_pairs[p][1];
        ae_resample *self = make(from, to, 1);
        const float in[23] = {0.0f};
        float out[300];
        int64_t given = 0;
        for (int64_t taken = 23; taken < 12000; taken += 23) {
            given += run(self, in, 23, out, 23);
            CHECK(given == (taken * to + from - 1) / from);
        }
        ae_resample_destroy(self);
    }
}

static void test_channels_do_not_mix(void)
{
    enum { k_channels = 8, k_frames = 480 };
    static float in[k_channels][k_frames], out[k_channels][k_frames + 8], alone[k_frames + 8];
    ae_resample *all = make(48000, 44100, k_channels);
    const float *from[k_channels];
    float *to[k_channels];
    for (int c = 0; c < k_channels; c++) {
        fill_sine(in[c], k_frames, 300.0 * (c + 1), 48000.0);
        from[c] = in[c];
        to[c] = out[c];
    }
    CHECK(ae_resample_process(all, from, k_frames, to, ae_resample_output_bound(all, k_frames)) ==
          441);
    for (int c = 0; c < k_channels; c++) {
        ae_resample *one = make(48000, 44100, 1);
        CHECK(run(one, in[c], k_frames, alone, k_frames) == 441);
        CHECK(memcmp(alone, out[c], 441 * sizeof(float)) == 0);
        ae_resample_destroy(one);
    }
    ae_resample_destroy(all);
}

/* A sine through a drift ramp and on: each output must be the sine at the integrated position, so a
 * jump of position or of slope would show at once. */
static void test_steering_is_smooth_and_exact(void)
{
    const float targets_ppm[] = {60.0f, -200.0f};
    enum { k_seconds = 3, k_frames = 48000 * k_seconds };
    static float in[k_frames], out[k_frames + 4 * k_seconds * 48 + 8];
    const double frequency_hz = 9000.0;
    fill_sine(in, k_frames, frequency_hz, 48000.0);
    for (int t = 0; t < 2; t++) {
        ae_resample *self = make(48000, 48000, 1);
        const int latency = ae_resample_latency_frames(self);
        ae_resample_set_ppm(self, targets_ppm[t]);
        const int given = run(self, in, k_frames, out, 480);
        CHECK_NEAR(ae_resample_ppm(self), targets_ppm[t], 1e-3);
        /* The steering moves in steps of 2^-32 frames per frame: 9 of them make 100 ppm/s. */
        const double unit = 1.0 / 4294967296.0;
        const double target = round(1e-6 * (double)targets_ppm[t] / unit);
        double position = -latency, steer = 0.0, worst = 0.0, ramp_s = 0.0;
        for (int n = 0; n < given; n++) {
            const double expected = sin(2.0 * k_pi * fmod(frequency_hz / 48000.0 * position, 1.0));
            if (n > 2 * latency) worst = fmax(worst, fabs((double)out[n] - expected));
            position += 1.0 + unit * steer;
            if (steer != target) ramp_s = n / 48000.0;
            steer += fmin(fmax(target - steer, -9.0), 9.0);
        }
        CHECK(worst < 2e-6); /* -114 dB */
        CHECK_NEAR(ramp_s, fabs((double)targets_ppm[t]) / 100.0, 0.02 * ramp_s);
        ae_resample_destroy(self);
    }
}

/* The shorter filters: whole and on time below their edge, noise no worse than designed. */
static void test_short_filters_are_short(void)
{
    const int halves[] = {16, 24, 32, 96};
    enum { k_frames = 9600 };
    static float in[k_frames], out[k_frames * 2];
    for (int h = 0; h < 4; h++)
        for (int p = 0; p < 2; p++) {
            const int from = p == 0 ? 48000 : 44100;
            const ae_resample_config config = {from, 48000, 1, halves[h]};
            ae_resample *self = NULL;
            CHECK(ae_resample_create(&self, &config) == AE_OK);
            const int latency = ae_resample_latency_frames(self);
            CHECK(latency == (halves[h] * 48000 + from - 1) / from);
            const double edge = 1.0 - 3.0 / halves[h];
            for (double share = 0.04; share <= edge; share *= 1.3) {
                const double frequency_hz = 0.5 * share * from;
                ae_resample_reset(self);
                fill_sine(in, k_frames, frequency_hz, from);
                const int given = run(self, in, k_frames, out, 480);
                const sine_fit fit = fit_sine(out, 200, given, frequency_hz / 48000, latency);
                CHECK_NEAR(20.0 * log10(fit.gain), 0.0, 1e-3);
                CHECK(fit.signal_to_noise >= 90.0);
            }
            ae_resample_destroy(self);
        }
}

/* How much input the next output waits for, against the count of what has been given. */
static void test_input_short_tells_the_read_position(void)
{
    for (int p = 0; p < k_pair_count; p++) {
        ae_resample *self = make(k_pairs[p][0], k_pairs[p][1], 1);
        const double step = (double)k_pairs[p][0] / k_pairs[p][1];
        const float in[23] = {0.0f};
        float out[300];
        int64_t given = 0;
        CHECK(ae_resample_input_short(self) == 0.0);
        for (int64_t taken = 23; taken < 12000; taken += 23) {
            given += run(self, in, 23, out, 23);
            CHECK_NEAR(ae_resample_input_short(self), (double)given * step - (double)taken, 1e-6);
        }
        ae_resample_destroy(self);
    }
}

static void test_the_slew_can_be_set(void)
{
    const float slews[] = {1000.0f, 0.0f, NAN};
    const float after_100_ms[] = {100.0f, 110.0f, 120.0f};
    static float in[4800], out[4900];
    ae_resample *self = make(48000, 48000, 1);
    ae_resample_set_ppm(self, 500.0f);
    for (int i = 0; i < 3; i++) {
        ae_resample_set_slew_ppm_per_s(self, slews[i]);
        run(self, in, 4800, out, 480);
        CHECK_NEAR(ae_resample_ppm(self), after_100_ms[i], 1.5);
    }
    ae_resample_destroy(self);
}

static void test_ppm_is_clamped_and_kept_by_reset(void)
{
    ae_resample *self = make(44100, 48000, 1);
    ae_resample_set_ppm(self, 5000.0f);
    CHECK(ae_resample_ppm(self) == 0.0f);
    ae_resample_set_ppm(self, NAN);
    ae_resample_reset(self);
    CHECK_NEAR(ae_resample_ppm(self), 1000.0, 1e-3);
    ae_resample_set_ppm(self, -INFINITY);
    ae_resample_reset(self);
    CHECK_NEAR(ae_resample_ppm(self), -1000.0, 1e-3);
    /* A full second at the clamp: never more than the bound, and 1000 ppm more than nominal. */
    static float in[44100], out[50000];
    const int given = run(self, in, 44100, out, 44100);
    CHECK(given == 48049 && given <= ae_resample_output_bound(self, 44100));
    ae_resample_destroy(self);
}

/* The filter is 352 frames long at most here, so weather is over one millisecond-scale run-out
 * later, and its absolute sum bounds the output: below 4 times the input for any sign pattern. */
static void test_bad_weather(void)
{
    enum { k_frames = 2400 };
    static float in[k_frames], out[12 * k_frames + 8];
    for (int p = 0; p < k_pair_count; p++) {
        ae_resample *self = make(k_pairs[p][0], k_pairs[p][1], 1);
        for (int kind = 0; kind < 5; kind++) {
            for (int i = 0; i < k_frames; i++)
                in[i] = kind == 0   ? 64.0f
                        : kind == 1 ? (i % 2 != 0 ? 64.0f : -64.0f)
                        : kind == 2 ? (i / 9 % 2 != 0 ? 64.0f : -64.0f)
                        : kind == 3 ? 1e-41f
                                    : 0.0f;
            const int given = run(self, in, k_frames, out, 480);
            float peak = 0.0f;
            for (int n = 0; n < given; n++) peak = fmaxf(peak, fabsf(out[n]));
            CHECK(peak <= 256.0f);
            if (kind == 0 && given > 400) CHECK_NEAR(out[given - 1], 64.0, 2e-5);
            if (kind == 4) CHECK(fabsf(out[given - 1]) == 0.0f);
        }
        CHECK(run(self, in, 0, out, 1) == 0);
        ae_resample_destroy(self);
    }
}

int main(void)
{
    test_create_checks_every_field();
    test_sines_arrive_whole_and_on_time();
    test_stopped_tones_do_not_alias();
    test_any_blocking_gives_the_same_samples();
    test_every_prefix_has_the_stated_count();
    test_channels_do_not_mix();
    test_steering_is_smooth_and_exact();
    test_short_filters_are_short();
    test_input_short_tells_the_read_position();
    test_the_slew_can_be_set();
    test_ppm_is_clamped_and_kept_by_reset();
    test_bad_weather();
    return AE_TEST_RESULT();
}
