/* Truths: a flat spectrum is its own cepstral average; a harmonic spectrum shows its pitch. */
#include "ae_cepstral_snr.h"

#include "ae_math.h"
#include "ae_test.h"

enum { k_bins = 257 };
static const float k_bin_hz = 31.25f;

static ae_cepstral_snr *make(void)
{
    ae_cepstral_snr *self = NULL;
    const ae_cepstral_snr_config config = {k_bins, k_bin_hz, 10.0f};
    CHECK(ae_cepstral_snr_create(&self, &config) == AE_OK);
    return self;
}

static void test_create_checks_every_field(void)
{
    const ae_cepstral_snr_config bad[] = {{16, 31.25f, 10.0f},  {258, 31.25f, 10.0f},
                                          {32770, 1.0f, 10.0f}, {257, 0.0f, 10.0f},
                                          {257, NAN, 10.0f},    {257, 31.25f, 0.5f}};
    for (int i = 0; i < 6; i++) {
        ae_cepstral_snr *self = (ae_cepstral_snr *)&bad;
        CHECK(ae_cepstral_snr_create(&self, &bad[i]) == AE_ERROR_ARGUMENT && self == NULL);
    }
    ae_cepstral_snr_destroy(NULL);
}

static void test_flat_snr_comes_back(void)
{
    ae_cepstral_snr *self = make();
    float power[k_bins], noise[k_bins], prior[k_bins];
    for (int k = 0; k < k_bins; k++) noise[k] = 1e-6f;
    ae_fill(power, 11e-6f, k_bins); /* SNR 10; the bias for random speech is exp(0.5) */
    for (int t = 0; t < 100; t++) ae_cepstral_snr_update(self, power, noise, prior);
    for (int k = 0; k < k_bins; k++) CHECK_NEAR(prior[k], 10.0 * exp(0.5), 0.05);
    ae_cepstral_snr_destroy(self);
}

static void test_pitch_of_a_harmonic_spectrum(void)
{
    ae_cepstral_snr *self = make();
    float power[k_bins], noise[k_bins], prior[k_bins];
    ae_fill(noise, 1e-6f, k_bins);
    const float pitches_hz[] = {100.0f, 140.0f, 200.0f, 300.0f};
    for (int p = 0; p < 4; p++) {
        for (int k = 0; k < k_bins; k++) { /* 20 dB between harmonics and valleys */
            const float phase = 2.0f * k_ae_pi * (float)k * k_bin_hz / pitches_hz[p];
            power[k] = 1e-4f * expf(2.3f * cosf(phase));
        }
        for (int t = 0; t < 5; t++) ae_cepstral_snr_update(self, power, noise, prior);
        CHECK(ae_cepstral_snr_pitch_strength(self) > 0.5f);
        CHECK_NEAR(ae_cepstral_snr_pitch_hz(self), pitches_hz[p], 0.02f * pitches_hz[p]);
        float crest = prior[0], valley = prior[0];
        for (int k = 0; k < k_bins; k++) {
            crest = fmaxf(crest, prior[k]);
            valley = fminf(valley, prior[k]);
        }
        CHECK(10.0f * log10f(crest / valley) > 12.0f); /* the harmonics are not smoothed away */
    }
    ae_cepstral_snr_destroy(self);
}

static float exponential(uint32_t *seed) { return -logf(0.5f * (ae_random(seed) + 1.0f) + 1e-9f); }

/* White noise: the estimate fluctuates far less than the periodogram, and has no pitch. */
static void test_noise_is_smoothed(void)
{
    ae_cepstral_snr *self = make();
    float power[k_bins], noise[k_bins], prior[k_bins];
    uint32_t seed = 12;
    double sum = 0.0, squares = 0.0;
    int count = 0, pitched = 0;
    ae_fill(noise, 1e-6f, k_bins);
    for (int t = 0; t < 300; t++) {
        for (int k = 0; k < k_bins; k++) power[k] = 1e-6f * exponential(&seed);
        ae_cepstral_snr_update(self, power, noise, prior);
        if (t < 50) continue;
        pitched += ae_cepstral_snr_pitch_strength(self) > 0.6f;
        for (int k = 0; k < k_bins; k++, count++) {
            const double level = log((double)prior[k]);
            sum += level;
            squares += level * level;
        }
    }
    const double mean = sum / count;
    CHECK(squares / count - mean * mean < 1.0); /* the log of max(P - N, 0.016 N) has 3.4 */
    CHECK(mean < 0.0);
    CHECK(pitched == 0);
    ae_cepstral_snr_destroy(self);
}

static void test_reset_is_new_and_bad_weather(void)
{
    ae_cepstral_snr *self = make(), *fresh = make();
    float power[k_bins], noise[k_bins], a[k_bins], b[k_bins];
    const float levels[] = {0.0f, 4096.0f, 1e-30f};
    uint32_t seed = 3;
    const uint64_t allocations = ae_allocation_count();
    for (int t = 0; t < 90; t++) {
        ae_fill(power, levels[t / 30], k_bins);
        ae_fill(noise, levels[t % 3] + 1e-12f, k_bins);
        ae_cepstral_snr_update(self, power, noise, a);
        for (int k = 0; k < k_bins; k++) CHECK(a[k] >= 0.0f && isfinite(a[k]));
    }
    ae_cepstral_snr_reset(self);
    for (int t = 0; t < 20; t++) {
        for (int k = 0; k < k_bins; k++) power[k] = exponential(&seed);
        ae_cepstral_snr_update(self, power, noise, a);
        ae_cepstral_snr_update(fresh, power, noise, b);
        CHECK(memcmp(a, b, sizeof a) == 0);
    }
    CHECK(ae_allocation_count() == allocations);
    ae_cepstral_snr_destroy(self);
    ae_cepstral_snr_destroy(fresh);
}

int main(void)
{
    test_create_checks_every_field();
    test_flat_snr_comes_back();
    test_pitch_of_a_harmonic_spectrum();
    test_noise_is_smoothed();
    test_reset_is_new_and_bad_weather();
    return AE_TEST_RESULT();
}
