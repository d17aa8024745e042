/* Truths: the analytic 4th-order Butterworth magnitude; the stated DC recovery; no click on a ramp.
 */
#include "ae_common.h"
#include "ae_highpass.h"
#include "ae_math.h"
#include "ae_test.h"

#include <stdlib.h>

static const double k_pi = 3.14159265358979323846;
enum { k_max_block = 960 };

static ae_highpass *make(int sample_rate_hz, int channels, float cutoff_hz)
{
    ae_highpass_config config = ae_highpass_default_config(sample_rate_hz);
    config.channels = channels;
    config.cutoff_hz = cutoff_hz;
    ae_highpass *self = NULL;
    CHECK(ae_highpass_create(&self, &config) == AE_OK);
    return self;
}

static void process_mono(ae_highpass *self, const float *in, float *out)
{
    ae_highpass_process(self, &in, &out);
}

static void test_create_checks_every_field(void)
{
    const ae_highpass_config bad[] = {{7999, 1, 80.0f},  {96001, 1, 80.0f},   {48000, 0, 80.0f},
                                      {48000, 9, 80.0f}, {48000, 1, 19.9f},   {48000, 1, 300.1f},
                                      {48000, 1, NAN},   {48000, 1, INFINITY}};
    for (int i = 0; i < (int)(sizeof(bad) / sizeof(bad[0])); i++) {
        ae_highpass *self = (ae_highpass *)&bad;
        CHECK(ae_highpass_create(&self, &bad[i]) == AE_ERROR_ARGUMENT && self == NULL);
    }
    ae_highpass_destroy(NULL);
}

/* Steady-state amplitude of a sine, by projection on it over whole periods. */
static double measured_gain(int sample_rate_hz, float cutoff_hz, double frequency_hz)
{
    ae_highpass *self = make(sample_rate_hz, 1, cutoff_hz);
    const int block = ae_block_frames(sample_rate_hz);
    float in[k_max_block], out[k_max_block];
    double re = 0.0, im = 0.0;
    int counted = 0;
    for (int b = 0, n = 0; n < 2 * sample_rate_hz; b++) {
        for (int i = 0; i < block; i++)
            in[i] = (float)sin(2.0 * k_pi * frequency_hz * (n + i) / sample_rate_hz);
        process_mono(self, in, out);
        for (int i = 0; i < block; i++, n++) {
            if (n < sample_rate_hz || n >= 2 * sample_rate_hz) continue;
            re += (double)out[i] * cos(2.0 * k_pi * frequency_hz * n / sample_rate_hz);
            im += (double)out[i] * sin(2.0 * k_pi * frequency_hz * n / sample_rate_hz);
            counted++;
        }
    }
    ae_highpass_destroy(self);
    return 2.0 * hypot(re, im) / counted;
}

static void test_response_is_butterworth(void)
{
    const int rates[] = {8000, 11025, 44100, 96000};
    const double frequencies[] = {10, 40, 80, 160, 1000};
    for (int r = 0; r < 4; r++) {
        for (int k = 0; k < 5; k++) {
            const double ratio =
                tan(k_pi * 80.0 / rates[r]) / tan(k_pi * frequencies[k] / rates[r]);
            CHECK_NEAR(measured_gain(rates[r], 80.0f, frequencies[k]),
                       1.0 / sqrt(1.0 + pow(ratio, 8.0)), 2e-6);
        }
    }
}

static void test_dc_step_recovers(void)
{
    const float cutoffs[] = {20.0f, 80.0f, 300.0f};
    for (int k = 0; k < 3; k++) {
        ae_highpass *self = make(48000, 1, cutoffs[k]);
        float in[k_max_block], out[k_max_block];
        ae_fill(in, 1.0f, k_max_block);
        for (int b = 0; b < 30; b++) {
            process_mono(self, in, out);
            float peak = 0.0f;
            for (int i = 0; i < 480; i++) peak = fmaxf(peak, fabsf(out[i]));
            if (b >= 10) CHECK(peak < 0.01f);
        }
        ae_highpass_destroy(self);
    }
}

static void fill_noise(float *signal, int frames, float amplitude, uint32_t *seed)
{
    for (int i = 0; i < frames; i++) signal[i] = amplitude * ae_random(seed);
}

static void test_in_place_reset_and_independence(void)
{
    enum { k_channels = 3, k_blocks = 20 };
    static float in[k_channels][k_max_block], first[k_blocks][k_channels][k_max_block];
    ae_highpass *self = make(44100, k_channels, 120.0f);
    ae_highpass *other = make(44100, 1, 20.0f);
    for (int run = 0; run < 3; run++) { /* 0: out of place, 1: in place after reset, 2: new, mono */
        uint32_t seed = 7;
        float out[k_channels][k_max_block], elsewhere[k_max_block];
        ae_highpass *fresh = make(44100, 1, 120.0f);
        for (int b = 0; b < k_blocks; b++) {
            for (int c = 0; c < k_channels; c++) fill_noise(in[c], k_max_block, 1.0f, &seed);
            const float *from[k_channels] = {in[0], in[1], in[2]};
            float *to[k_channels] = {out[0], out[1], out[2]};
            process_mono(other, in[1], elsewhere); /* disturbs nobody else */
            if (run == 0) {
                ae_highpass_process(self, from, to);
                memcpy(first[b], out, sizeof(out));
            } else if (run == 1) {
                memcpy(out, in, sizeof(in));
                ae_highpass_process(self, (const float *const *)to, to);
                for (int c = 0; c < k_channels; c++)
                    CHECK(memcmp(out[c], first[b][c], 441 * sizeof(float)) == 0);
            } else {
                process_mono(fresh, in[0], out[0]);
                CHECK(memcmp(out[0], first[b][0], 441 * sizeof(float)) == 0);
            }
        }
        ae_highpass_destroy(fresh);
        ae_highpass_reset(self);
    }
    ae_highpass_destroy(self);
    ae_highpass_destroy(other);
}

static void test_reset_in_a_ramp_keeps_the_parameter(void)
{
    ae_highpass *self = make(48000, 1, 80.0f), *fresh = make(48000, 1, 200.0f);
    float in[480], a[480], b[480];
    uint32_t seed = 3;
    fill_noise(in, 480, 1.0f, &seed);
    ae_highpass_set_cutoff_hz(self, 200.0f);
    process_mono(self, in, a);
    ae_highpass_reset(self);
    process_mono(self, in, a);
    process_mono(fresh, in, b);
    CHECK(memcmp(a, b, sizeof(a)) == 0);
    ae_highpass_destroy(self);
    ae_highpass_destroy(fresh);
}

static void test_bad_weather(void)
{
    const float values[] = {0.0f, 64.0f, -64.0f, 1e-40f, 1.0f};
    const int rates[] = {8000, 8001, 11025, 95999};
    for (int r = 0; r < 4; r++) {
        ae_highpass *self = make(rates[r], 1, 20.0f);
        const uint64_t allocations = ae_allocation_count();
        float in[k_max_block], out[k_max_block];
        for (int b = 0; b < 400; b++) {
            ae_fill(in, values[b / 20 % 5], k_max_block);
            if (b >= 200)
                for (int i = 0; i < k_max_block; i++) in[i] = (i / 7 % 2 != 0) ? 64.0f : -64.0f;
            if (b % 30 == 0) ae_highpass_set_cutoff_hz(self, b % 60 == 0 ? 1e9f : -5.0f);
            if (b == 100) ae_highpass_set_cutoff_hz(self, NAN);
            process_mono(self, in, out);
            for (int i = 0; i < ae_block_frames(rates[r]); i++) CHECK(fabsf(out[i]) <= 256.0f);
        }
        ae_fill(in, 0.0f, k_max_block);
        for (int b = 0; b < 60; b++) process_mono(self, in, out);
        CHECK(fabsf(out[0]) < 1e-4f); /* 64 at 20 Hz after 0.6 s: e^-28 of it */
        CHECK(ae_allocation_count() == allocations);
        ae_highpass_destroy(self);
    }
}

/* DC and a 150 Hz sine while the cutoff sweeps its whole range and back. A click is a jump of the
 * slope: the largest second difference stays near that of the sine alone. */
static void test_cutoff_step_does_not_click(void)
{
    const int rates[] = {8000, 48000};
    for (int r = 0; r < 2; r++) {
        const int rate = rates[r], block = ae_block_frames(rate);
        ae_highpass *self = make(rate, 1, 20.0f);
        float in[k_max_block], out[k_max_block];
        float last[2] = {0.0f, 0.0f}, largest = 0.0f;
        for (int b = 0; b < 200; b++) {
            for (int i = 0; i < block; i++)
                in[i] = 0.5f + 0.5f * (float)sin(2.0 * k_pi * 150.0 * (b * block + i) / rate);
            if (b == 100) ae_highpass_set_cutoff_hz(self, 300.0f);
            if (b == 150) ae_highpass_set_cutoff_hz(self, 20.0f);
            process_mono(self, in, out);
            for (int i = 0; i < block; i++) {
                if (b >= 50) largest = fmaxf(largest, fabsf(out[i] - 2.0f * last[1] + last[0]));
                last[0] = last[1];
                last[1] = out[i];
            }
        }
        const double alone = 0.5 * pow(2.0 * k_pi * 150.0 / rate, 2.0);
        CHECK((double)largest < 1.5 * alone);
        ae_highpass_destroy(self);
    }
}

int main(void)
{
    test_create_checks_every_field();
    test_response_is_butterworth();
    test_dc_step_recovers();
    test_in_place_reset_and_independence();
    test_reset_in_a_ramp_keeps_the_parameter();
    test_bad_weather();
    test_cutoff_step_does_not_click();
    return AE_TEST_RESULT();
}
