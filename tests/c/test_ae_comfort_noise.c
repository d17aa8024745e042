/* Truths: known noise powers; the variance of what is added. */
#include "ae_comfort_noise.h"

#include "ae_math.h"
#include "ae_test.h"

enum { k_bins = 257 };

static ae_comfort_noise *make(void)
{
    ae_comfort_noise *self = NULL;
    const ae_comfort_noise_config config = {k_bins, 10.0f};
    CHECK(ae_comfort_noise_create(&self, &config) == AE_OK);
    return self;
}

static void test_create_checks_every_field(void)
{
    const ae_comfort_noise_config bad[] = {{1, 10.0f}, {65537, 10.0f}, {9, 0.0f}, {9, NAN}};
    for (int i = 0; i < 4; i++) {
        ae_comfort_noise *self = (ae_comfort_noise *)&bad;
        CHECK(ae_comfort_noise_create(&self, &bad[i]) == AE_ERROR_ARGUMENT && self == NULL);
    }
    ae_comfort_noise_destroy(NULL);
}

static float exponential(uint32_t *seed) { return -logf(0.5f * (ae_random(seed) + 1.0f) + 1e-9f); }

static double mean_power(const float *amplitude)
{
    double sum = 0.0;
    for (int k = 0; k < k_bins; k++) sum += (double)(amplitude[k] * amplitude[k]);
    return sum / k_bins;
}

static void test_level_is_the_rooms(void)
{
    ae_comfort_noise *self = make();
    float power[k_bins], noise[k_bins], gain[k_bins], amplitude[k_bins];
    uint32_t seed = 2;
    ae_fill(gain, 0.0f, k_bins);
    for (int t = 0; t < 1000; t++) {
        for (int k = 0; k < k_bins; k++) power[k] = 1e-9f * exponential(&seed);
        ae_fill(noise, 1e-9f, k_bins);
        ae_comfort_noise_track(self, power, noise);
    }
    CHECK(ae_comfort_noise_missing(self, gain, 1.0f, amplitude));
    CHECK_NEAR(10.0 * log10(mean_power(amplitude) / 1e-9), 0.0, 2.0);
    for (int t = 0; t < 200; t++) { /* 2 s of echo that the noise estimate has fallen for */
        for (int k = 0; k < k_bins; k++) power[k] = 1e-4f * exponential(&seed);
        ae_fill(noise, 1e-4f, k_bins);
        ae_comfort_noise_track(self, power, noise);
    }
    CHECK(ae_comfort_noise_missing(self, gain, 1.0f, amplitude));
    CHECK(10.0 * log10(mean_power(amplitude) / 1e-9) < 5.0);
    ae_fill(gain, 0.5f, k_bins);
    CHECK(!ae_comfort_noise_missing(self, gain, 0.5f, amplitude)); /* the floor is not cut */
    ae_comfort_noise_destroy(self);
}

static void test_added_noise_has_the_variance_and_no_pattern(void)
{
    ae_comfort_noise *self = make();
    float power[k_bins], amplitude[k_bins], re[k_bins], im[k_bins];
    double squares = 0.0, mean = 0.0, cross = 0.0, channels = 0.0;
    int count = 0;
    ae_fill(power, 1.0f, k_bins);
    ae_fill(amplitude, 2.0f, k_bins);
    for (int t = 0; t < 200; t++) {
        float other_re[k_bins] = {0}, other_im[k_bins] = {0};
        ae_zero(re, k_bins);
        ae_zero(im, k_bins);
        ae_comfort_noise_track(self, power, power);
        ae_comfort_noise_add(self, 0, amplitude, re, im);
        ae_comfort_noise_add(self, 1, amplitude, other_re, other_im);
        CHECK(re[0] == 0.0f && im[k_bins - 1] == 0.0f);
        for (int k = 1; k < k_bins - 1; k++, count++) {
            squares += (double)(re[k] * re[k] + im[k] * im[k]);
            mean += (double)(re[k] + im[k]);
            cross += (double)(re[k] * im[k]);
            channels += (double)(re[k] * other_re[k]);
        }
    }
    CHECK_NEAR(squares / count, 4.0, 0.05);
    CHECK_NEAR(mean / count, 0.0, 0.03);
    CHECK_NEAR(cross / count, 0.0, 0.03);
    CHECK_NEAR(channels / count, 0.0, 0.03);
    ae_comfort_noise_destroy(self);
}

static void test_reset_is_new_and_bad_weather(void)
{
    ae_comfort_noise *self = make(), *fresh = make();
    float power[k_bins], gain[k_bins], a[k_bins], b[k_bins];
    const float levels[] = {0.0f, 4096.0f, 1e-38f};
    const uint64_t allocations = ae_allocation_count();
    ae_fill(gain, 0.1f, k_bins);
    for (int t = 0; t < 90; t++) {
        ae_fill(power, levels[t / 10 % 3], k_bins);
        ae_comfort_noise_track(self, power, power);
        ae_comfort_noise_missing(self, gain, 1.0f, a);
        for (int k = 0; k < k_bins; k++) CHECK(a[k] >= 0.0f && a[k] <= 64.0f);
    }
    ae_comfort_noise_reset(self);
    ae_fill(power, 1e-3f, k_bins);
    for (int t = 0; t < 5; t++) {
        ae_comfort_noise_track(self, power, power);
        ae_comfort_noise_track(fresh, power, power);
    }
    ae_comfort_noise_missing(self, gain, 1.0f, a);
    ae_comfort_noise_missing(fresh, gain, 1.0f, b);
    CHECK(memcmp(a, b, sizeof a) == 0);
    CHECK(ae_allocation_count() == allocations);
    ae_comfort_noise_destroy(self);
    ae_comfort_noise_destroy(fresh);
}

int main(void)
{
    test_create_checks_every_field();
    test_level_is_the_rooms();
    test_added_noise_has_the_variance_and_no_pattern();
    test_reset_is_new_and_bad_weather();
    return AE_TEST_RESULT();
}
