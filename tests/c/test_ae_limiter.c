/* Truths: the true peak of the output by an independent 16x interpolation (64 taps per phase,
 * Kaiser beta 10: flat to 0.45 rate like a good converter); a signal under the ceiling is an exact
 * delayed copy; closed-form sines. */
#include <stdlib.h>
#include <string.h>

#include "ae_limiter.h"
#include "ae_math.h"
#include "ae_test.h"

enum { k_seconds_max = 2, k_max_frames = 96000 * k_seconds_max };
static const double k_two_pi = 6.283185307179586;
static float input[2][k_max_frames], output[2][k_max_frames];

static ae_limiter *make(int rate_hz, int channels)
{
    ae_limiter_config config = ae_limiter_default_config(rate_hz);
    config.channels = channels;
    ae_limiter *self = NULL;
    CHECK(ae_limiter_create(&self, &config) == AE_OK);
    return self;
}

/* Whole blocks of input[] to output[]; the frames processed. */
static int run(ae_limiter *self, int rate_hz, int frames, int in_place)
{
    const int block = ae_block_frames(rate_hz), blocks = frames / block;
    if (in_place) memcpy(output, input, sizeof input);
    for (int b = 0; b < blocks; b++) {
        float *out[2] = {output[0] + b * block, output[1] + b * block};
        const float *in[2] = {input[0] + b * block, input[1] + b * block};
        const float *same[2] = {out[0], out[1]};
        ae_limiter_process(self, in_place ? same : in, out);
    }
    return blocks * block;
}

static double bessel_i0(double x)
{
    double sum = 1.0, term = 1.0;
    for (int k = 1; k < 60; k++) sum += term *= x * x / (4.0 * k * k);
    return sum;
}

static double true_peak(const float *x, int frames)
{
    enum { half = 32, up = 16 };
    static double taps[up][2 * half];
    static int ready;
    for (int p = 0; p < up && !ready; p++) {
        for (int k = 0; k < 2 * half; k++) {
            const double t = (k - half + 1) - p / (double)up, edge = t / half;
            const double window =
                bessel_i0(10.0 * sqrt(fmax(0.0, 1.0 - edge * edge))) / bessel_i0(10.0);
            taps[p][k] = t == 0.0 ? 1.0 : sin(0.5 * k_two_pi * t) / (0.5 * k_two_pi * t) * window;
        }
    }
    ready = 1;
    double largest = 0.0;
    for (int n = half; n < frames - half; n++) {
        if (fabsf(x[n]) < 0.3f && fabsf(x[n + 1]) < 0.3f)
            continue; /* not near a peak of interest */
        for (int p = 0; p < up; p++) {
            double sum = 0.0;
            for (int k = 0; k < 2 * half; k++) sum += taps[p][k] * (double)x[n - half + 1 + k];
            if (fabs(sum) > largest) largest = fabs(sum);
        }
    }
    return 20.0 * log10(largest);
}

static float signal_value(int kind, int n, int rate_hz, uint32_t *seed)
{
    const double t = n / (double)rate_hz;
    const float noise = 3.0f * ae_random(seed);
    switch (kind) {
    case 0: return noise; /* +5 dBFS rms, white */
    case 1:
        return (float)(2.0 * sin(0.25 * k_two_pi * n + 0.125 * k_two_pi)); /* rate/4, 45 degrees */
    case 2: return sin(k_two_pi * 100.3 * t) > 0.0 ? 1.0f : -1.0f;         /* full-scale square */
    case 3: return n % 4801 == 7 ? 4.0f : n % 7777 == 9 ? -1.0f : 0.0f;    /* impulses */
    case 4: return (float)(1.5 * sin(k_two_pi * 0.4499 * n));              /* the hardest sine */
    case 5:
        return noise * (float)pow(sin(k_two_pi * 2.0 * t), 4.0) *
               (float)sin(k_two_pi * 150.0 * t);                   /* bursts like syllables */
    default: return 0.5f * noise * (float)(n / (rate_hz / 5) % 2); /* bursts, abrupt */
    }
}

static void test_ceiling_holds(void)
{
    static const int rates[] = {8000, 11025, 16000, 44100, 48000};
    for (int r = 0; r < 5; r++) {
        for (int kind = 0; kind < 7; kind++) {
            const int rate = rates[r];
            uint32_t seed = 1u + (uint32_t)kind;
            for (int n = 0; n < rate / 2; n++) {
                input[0][n] = signal_value(kind, n, rate, &seed);
                input[1][n] = 0.5f * input[0][n];
            }
            ae_limiter *self = make(rate, 2);
            const int frames = run(self, rate, rate / 2, 0);
            ae_limiter_report report;
            ae_limiter_read(self, &report);
            const double over_db = true_peak(output[0], frames) - -1.0;
            CHECK(over_db <= 0.05 && over_db > -1.0);
            if (!(over_db <= 0.05 && over_db > -1.0))
                printf("rate %d kind %d over %.3f dB\n", rate, kind, over_db);
            CHECK(report.max_reduction_db > 0.5f && report.limited_frames > 0);
            /* One gain for both channels. */
            for (int n = 0; n < frames; n++) CHECK(output[1][n] == 0.5f * output[0][n]);
            ae_limiter_destroy(self);
        }
    }
}

static void test_quiet_is_an_exact_delayed_copy(void)
{
    static const int rates[] = {8000, 16000, 22050, 32000, 44100, 48000, 96000};
    for (int r = 0; r < 7; r++) {
        const int rate = rates[r];
        uint32_t seed = 3;
        /* Up to -4 dBFS, low-pass: some blocks are examined, none needs a gain. */
        float smooth = 0.0f;
        for (int n = 0; n < rate; n++) {
            smooth += 0.1f * (ae_random(&seed) - smooth);
            input[0][n] = (n / (rate / 4) % 2 ? 1.2f : 0.2f) * smooth;
        }
        ae_limiter *self = make(rate, 1);
        const int latency = ae_limiter_latency_frames(self);
        CHECK(latency * 1000 <= 5.5 * rate);
        const int frames = run(self, rate, rate, 0);
        for (int n = 0; n < frames; n++)
            CHECK(output[0][n] == (n < latency ? 0.0f : input[0][n - latency]));
        ae_limiter_report report;
        ae_limiter_read(self, &report);
        CHECK(report.max_reduction_db == 0.0f && report.limited_frames == 0);
        ae_limiter_destroy(self);
    }
}

static void test_returns_to_an_exact_copy(void)
{
    enum { rate = 48000 };
    for (int n = 0; n < 2 * rate; n++) {
        input[0][n] = (float)((n < 480 ? 4.0 : 0.3) * sin(k_two_pi * 440.0 * n / rate));
    }
    ae_limiter *self = make(rate, 1);
    const int latency = ae_limiter_latency_frames(self), frames = run(self, rate, 2 * rate, 0);
    /* A lone 10 ms peak of 13 dB: within 0.5 dB after 250 ms, exact within 1.6 s. */
    for (int n = rate / 4; n < frames; n++) {
        CHECK_NEAR(output[0][n], input[0][n - latency], n < 8 * rate / 5 ? 0.3 * 0.07 : 0.0);
    }
    ae_limiter_destroy(self);
}

/* A low note far over the ceiling: the gain must not follow its periods. */
static void test_low_note_does_not_ripple(void)
{
    enum { rate = 48000 };
    for (int n = 0; n < 2 * rate; n++) input[0][n] = (float)(2.0 * sin(k_two_pi * 40.0 * n / rate));
    ae_limiter *self = make(rate, 1);
    const int latency = ae_limiter_latency_frames(self), frames = run(self, rate, 2 * rate, 0);
    double least = 10.0, most = 0.0;
    for (int n = rate; n < frames; n++) {
        if (fabsf(input[0][n - latency]) < 0.2f) continue;
        const double gain = (double)(output[0][n] / input[0][n - latency]);
        least = gain < least ? gain : least;
        most = gain > most ? gain : most;
    }
    CHECK(20.0 * log10(most / least) < 0.25);
    ae_limiter_destroy(self);
}

static void fill_noise(int frames, float size)
{
    uint32_t seed = 11;
    for (int n = 0; n < frames; n++) {
        input[0][n] = size * ae_random(&seed);
        input[1][n] = size * ae_random(&seed);
    }
}

/* One limiter goes on where another was, to the last bit. */
static void test_copied_state_goes_on(void)
{
    enum { rate = 44100, block = 441 };
    fill_noise(rate, 2.0f);
    ae_limiter *a = make(rate, 2), *b = make(rate, 2);
    for (int at = 0; at + block <= rate; at += block) {
        float first[2][block], second[2][block];
        const float *const in[] = {input[0] + at, input[1] + at};
        if (at == 50 * block) ae_limiter_copy_state(b, a);
        ae_limiter_process(a, in, (float *const[]){first[0], first[1]});
        if (at < 50 * block) continue;
        ae_limiter_process(b, in, (float *const[]){second[0], second[1]});
        CHECK(memcmp(first, second, sizeof first) == 0);
    }
    ae_limiter_report first_report, second_report;
    ae_limiter_read(a, &first_report);
    ae_limiter_read(b, &second_report);
    CHECK(first_report.limited_frames == second_report.limited_frames);
    CHECK(first_report.max_reduction_db == second_report.max_reduction_db);
    ae_limiter_destroy(a);
    ae_limiter_destroy(b);
}

static void test_in_place_reset_and_independence(void)
{
    enum { rate = 44100 };
    static float first[2][rate];
    fill_noise(rate, 2.0f);
    ae_limiter *a = make(rate, 2), *b = make(rate, 2);
    const uint64_t before = ae_allocation_count();
    const int frames = run(a, rate, rate, 0);
    memcpy(first[0], output[0], sizeof first[0]);
    memcpy(first[1], output[1], sizeof first[1]);
    run(b, rate, rate, 1); /* another object, in place */
    CHECK(memcmp(first[0], output[0], (size_t)frames * sizeof(float)) == 0);
    CHECK(memcmp(first[1], output[1], (size_t)frames * sizeof(float)) == 0);
    ae_limiter_set_ceiling_dbtp(a, -6.0f);
    run(a, rate, rate / 2, 0);
    ae_limiter_set_ceiling_dbtp(a, -1.0f);
    ae_limiter_reset(a);
    run(a, rate, rate, 0);
    CHECK(memcmp(first[0], output[0], (size_t)frames * sizeof(float)) == 0);
    CHECK(ae_allocation_count() == before);
    ae_limiter_destroy(a);
    ae_limiter_destroy(b);
}

static void test_ceiling_steps_do_not_click(void)
{
    enum { rate = 48000, block = 480 };
    ae_limiter *self = make(rate, 1);
    float previous = 0.0f, before = 0.0f, largest = 0.0f;
    for (int b = 0; b < 200; b++) {
        float x[block], y[block], *out[1] = {y};
        const float *in[1] = {x};
        for (int n = 0; n < block; n++)
            x[n] = (float)(0.8 * sin(k_two_pi * 200.0 * (b * block + n) / rate));
        if (b % 50 == 25) ae_limiter_set_ceiling_dbtp(self, b % 100 == 25 ? -12.0f : -1.0f);
        ae_limiter_process(self, in, out);
        for (int n = 0; n < block; n++) {
            const float bend = fabsf(y[n] - 2.0f * before + previous);
            if (b > 2 && bend > largest) largest = bend;
            previous = before;
            before = y[n];
        }
    }
    /* The sine itself bends by 0.8 w^2 = 5.5e-4; a click would bend by the step. */
    CHECK(largest < 9e-4f);
    ae_limiter_set_ceiling_dbtp(self, NAN); /* refused */
    ae_limiter_destroy(self);
}

static void test_bad_weather(void)
{
    enum { rate = 16000 };
    ae_limiter *self = make(rate, 1);
    memset(input, 0, sizeof input);
    input[0][100] = NAN, input[0][200] = INFINITY, input[0][300] = -64.0f, input[0][400] = 1e-40f;
    for (int n = 1600; n < 3200; n++) input[0][n] = 64.0f; /* DC */
    for (int n = 3200; n < 2 * rate; n++) input[0][n] = 0.25f;
    const int frames = run(self, rate, 2 * rate, 0);
    for (int n = 0; n < frames; n++) CHECK(fabsf(output[0][n]) <= 0.9f);
    CHECK(output[0][frames - 1] == 0.25f);
    ae_limiter_destroy(self);
}

static void test_refusals(void)
{
    ae_limiter_config wrong[10];
    for (int i = 0; i < 10; i++) wrong[i] = ae_limiter_default_config(48000);
    wrong[0].sample_rate_hz = 7999, wrong[1].sample_rate_hz = 96001;
    wrong[2].channels = 0, wrong[3].channels = 9;
    wrong[4].ceiling_dbtp = 0.5f, wrong[5].ceiling_dbtp = NAN;
    wrong[6].lookahead_ms = 0.5f, wrong[7].lookahead_ms = NAN;
    wrong[8].release_ms = 5.0f, wrong[9].release_ms = NAN;
    for (int i = 0; i < 10; i++) {
        ae_limiter *self = (ae_limiter *)8;
        CHECK(ae_limiter_create(&self, &wrong[i]) == AE_ERROR_ARGUMENT && self == NULL);
    }
    ae_limiter_destroy(NULL);
}

int main(void)
{
    test_ceiling_holds();
    test_quiet_is_an_exact_delayed_copy();
    test_returns_to_an_exact_copy();
    test_low_note_does_not_ripple();
    test_copied_state_goes_on();
    test_in_place_reset_and_independence();
    test_ceiling_steps_do_not_click();
    test_bad_weather();
    test_refusals();
    return AE_TEST_RESULT();
}
