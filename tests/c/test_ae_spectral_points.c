/* Truths: third octaves above 8 kHz, means of known powers, every bin counted once. */
#include "ae_spectral_points.h"

#include "ae_fft.h"
#include "ae_math.h"
#include "ae_test.h"

enum { k_max_bins = 2049, k_max_points = 400 };

static const int k_rates[] = {8000, 11025, 16000, 22050, 44100, 48000, 96000};

static ae_spectral_points *make(int rate)
{
    const int window = (int)(3.2f * (float)ae_block_frames(rate) + 0.5f);
    const ae_spectral_points_config config = {rate, ae_fft_good_size(window)};
    ae_spectral_points *self = NULL;
    CHECK(ae_spectral_points_create(&self, &config) == AE_OK);
    return self;
}

static void test_create_checks_every_field(void)
{
    const ae_spectral_points_config bad[] = {{7999, 512}, {96001, 512}, {16000, 14}, {16000, 511}};
    for (int i = 0; i < 4; i++) {
        ae_spectral_points *self = (ae_spectral_points *)&bad;
        CHECK(ae_spectral_points_create(&self, &bad[i]) == AE_ERROR_ARGUMENT && self == NULL);
    }
    ae_spectral_points_destroy(NULL);
}

static void test_grid(void)
{
    for (int r = 0; r < 7; r++) {
        ae_spectral_points *self = make(k_rates[r]);
        const int kept = ae_spectral_points_bins_kept(self);
        const int count = ae_spectral_points_count(self);
        const float hz = ae_spectral_points_bin_hz(self);
        const float *widths = ae_spectral_points_widths(self);
        const int bins = (int)(0.5f * (float)k_rates[r] / hz + 0.5f) + 1;
        float sum = 0.0f, edge = (float)kept;
        for (int k = 0; k < count; k++) sum += widths[k];
        CHECK((int)sum == bins);
        CHECK(2 * (kept - 1) == ae_fft_good_size(2 * (kept - 1)));
        if (k_rates[r] <= 16000) CHECK(count == kept && kept == bins);
        if (k_rates[r] > 16000) CHECK_NEAR((float)(kept - 1) * hz, 8000.0f, 300.0f);
        for (int k = kept; k < count - 1; k++) { /* the last band takes the rest */
            CHECK_NEAR((edge + widths[k]) / edge, 1.26, 0.01);
            edge += widths[k];
        }
        CHECK_NEAR((float)ae_spectral_points_at(self, 1000.0f) * hz, 1000.0f, 0.5f * hz + 0.1f);
        ae_spectral_points_destroy(self);
    }
}

static void test_means_and_interpolation(void)
{
    for (int r = 0; r < 7; r++) {
        ae_spectral_points *self = make(k_rates[r]);
        const int kept = ae_spectral_points_bins_kept(self);
        const int count = ae_spectral_points_count(self);
        const int bins =
            (int)(0.5f * (float)k_rates[r] / ae_spectral_points_bin_hz(self) + 0.5f) + 1;
        static float power[k_max_bins], points[k_max_points], gain[k_max_bins];
        uint32_t seed = 3;
        float before = 0.0f, after = 0.0f;
        for (int k = 0; k < bins; k++) before += power[k] = 1.0f + ae_random(&seed);
        ae_spectral_points_gather(self, power, points);
        for (int k = 0; k < count; k++) after += points[k] * ae_spectral_points_widths(self)[k];
        CHECK_NEAR(after / before, 1.0, 1e-5);
        for (int k = 0; k < kept; k++) CHECK(points[k] == power[k]);
        ae_fill(points, 0.25f, count);
        ae_spectral_points_spread(self, points, gain);
        for (int k = 0; k < bins; k++) CHECK(gain[k] == 0.25f);
        for (int k = 0; k < count; k++) points[k] = (float)k;
        ae_spectral_points_spread(self, points, gain); /* rises without a step */
        for (int k = 1; k < bins; k++)
            CHECK(gain[k] >= gain[k - 1] && gain[k] - gain[k - 1] <= 1.0f);
        ae_spectral_points_destroy(self);
    }
}

int main(void)
{
    test_create_checks_every_field();
    test_grid();
    test_means_and_interpolation();
    return AE_TEST_RESULT();
}
