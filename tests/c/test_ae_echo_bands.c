/* Truths: sines of known power and place; the triangles' own algebra. */
#include "ae_echo_bands.h"

#include "ae_math.h"
#include "ae_stft.h"
#include "ae_test.h"

enum { k_bands = AE_ECHO_BANDS, k_max_bins = 2049, k_max_hop = 960 };
static const int k_rates[] = {8000, 16000, 44100, 48000, 96000};

typedef struct {
    ae_echo_bands *bands;
    ae_stft *stft;
    int rate, hop, bins;
    float bin_hz;
} rig;

static rig make(int rate)
{
    rig self = {.rate = rate, .hop = ae_block_frames(rate)};
    const ae_stft_config stft = {self.hop, (int)(3.2f * (float)self.hop + 0.5f)};
    CHECK(ae_stft_create(&self.stft, &stft) == AE_OK);
    const int fft_size = ae_stft_fft_size(self.stft);
    const ae_echo_bands_config config = {rate, fft_size, ae_stft_window_power(self.stft)};
    CHECK(ae_echo_bands_create(&self.bands, &config) == AE_OK);
    self.bins = ae_stft_bins(self.stft);
    self.bin_hz = (float)rate / (float)fft_size;
    CHECK(self.bins <= k_max_bins);
    return self;
}

static void destroy(rig *self)
{
    ae_echo_bands_destroy(self->bands);
    ae_stft_destroy(self->stft);
}

/* As the header has it: 75 Hz apart, then 14.5 %, the last one at 8 kHz. */
static double centre_hz(int band)
{
    double hz = 60.0;
    for (int b = 0; b < band; b++) hz += fmax(75.0, 0.145 * hz);
    return band == k_bands - 1 ? 8000.0 : hz;
}

static void test_create_checks_every_field(void)
{
    const ae_echo_bands_config bad[] = {{7999, 512, 200.0f},
                                        {96001, 512, 200.0f},
                                        {16000, 7, 200.0f},
                                        {16000, 512, 0.0f},
                                        {16000, 512, NAN}};
    for (int i = 0; i < 5; i++) {
        ae_echo_bands *self = (ae_echo_bands *)&bad;
        CHECK(ae_echo_bands_create(&self, &bad[i]) == AE_ERROR_ARGUMENT && self == NULL);
    }
    ae_echo_bands_destroy(NULL);
}

/* The bands add up to the mean square, whatever the rate; and because the shares are linear in the
 * distance, their centre of gravity is the sine's frequency. */
static void test_a_sine_lands_where_it_belongs(void)
{
    static const double tones_hz[] = {150.0, 440.0, 1000.0, 1730.0, 3300.0, 5000.0, 7400.0};
    static float in[k_max_hop], re[k_max_bins], im[k_max_bins], power[k_max_bins];
    for (int r = 0; r < 5; r++) {
        rig self = make(k_rates[r]);
        for (int t = 0; t < 7 && tones_hz[t] < 0.45 * self.rate; t++) {
            double mean[k_bands] = {0.0}, all = 0.0, moment = 0.0, near = 0.0;
            for (int h = 0; h < 40; h++) {
                float bands[k_bands];
                for (int i = 0; i < self.hop; i++)
                    in[i] = (float)(0.5 * sin(6.283185307 * tones_hz[t] * (h * self.hop + i) /
                                              self.rate));
                ae_stft_analyse(self.stft, in, re, im);
                for (int k = 0; k < self.bins; k++) power[k] = re[k] * re[k] + im[k] * im[k];
                ae_echo_bands_gather(self.bands, power, bands);
                for (int b = 0; h >= 8 && b < k_bands; b++) mean[b] += (double)bands[b] / 32.0;
            }
            for (int b = 0; b < k_bands; b++) {
                all += mean[b];
                moment += mean[b] * centre_hz(b);
                const double reach = fmax(140.0, 0.16 * tones_hz[t]); /* the window's lobe, or */
                if (fabs(centre_hz(b) - tones_hz[t]) < reach) near += mean[b]; /* a neighbour */
            }
            CHECK_NEAR(all, 0.125, 0.125 * 0.02);
            CHECK_NEAR(moment / all, tones_hz[t], 5.0 + 0.005 * tones_hz[t]);
            CHECK(near > 0.97 * all);
        }
        destroy(&self);
    }
}

/* A constant is spread as a constant, whatever the rate: the weights of every bin add up to 1. */
static void test_a_constant_stays_one(void)
{
    static float bins[k_max_bins + 1];
    float bands[k_bands];
    ae_fill(bands, 0.25f, k_bands);
    for (int r = 0; r < 5; r++) {
        rig self = make(k_rates[r]);
        ae_fill(bins, -1.0f, k_max_bins + 1);
        ae_echo_bands_spread(self.bands, bands, bins);
        for (int k = 0; k < self.bins; k++) CHECK_NEAR(bins[k], 0.25, 1e-6);
        CHECK(bins[self.bins] == -1.0f); /* and no more than those */
        destroy(&self);
    }
}

/* Each band's gain is that of the bin at its centre; between two it is a straight line. */
static void test_gains_are_interpolated(void)
{
    static float bins[k_max_bins];
    float bands[k_bands];
    for (int b = 0; b < k_bands; b++) bands[b] = (float)(centre_hz(b) / 8000.0);
    for (int r = 0; r < 5; r++) {
        rig self = make(k_rates[r]);
        ae_echo_bands_spread(self.bands, bands, bins);
        for (int k = 0; k < self.bins && (float)k * self.bin_hz < 8000.0f; k++)
            CHECK_NEAR(bins[k], fmax((double)((float)k * self.bin_hz), 60.0) / 8000.0, 1e-5);
        destroy(&self);
    }
}

/* sum gather(p) g = scale * sum p spread(g) for all that lies below 8 kHz: the same weights. */
static void test_gather_and_spread_are_adjoint(void)
{
    static float power[k_max_bins], gain[k_max_bins];
    float bands[k_bands], gathered[k_bands];
    for (int r = 0; r < 5; r++) {
        rig self = make(k_rates[r]);
        const double scale =
            2.0 / (2.0 * (self.bins - 1) * (double)ae_stft_window_power(self.stft));
        uint32_t seed = 3;
        for (int round = 0; round < 20; round++) {
            double by_bands = 0.0, by_bins = 0.0;
            for (int k = 0; k < self.bins; k++)
                power[k] = (float)k * self.bin_hz < 8000.0f ? 1.0f + ae_random(&seed) : 0.0f;
            for (int b = 0; b < k_bands; b++) bands[b] = 0.5f + 0.5f * ae_random(&seed);
            ae_echo_bands_gather(self.bands, power, gathered);
            ae_echo_bands_spread(self.bands, bands, gain);
            for (int b = 0; b < k_bands; b++) by_bands += (double)(gathered[b] * bands[b]);
            for (int k = 0; k < self.bins; k++) by_bins += (double)(power[k] * gain[k]);
            CHECK_NEAR(by_bands, scale * by_bins, 1e-5 * by_bands);
        }
        destroy(&self);
    }
}

/* Nothing above 8 kHz is heard; it gets the mean gain of the bands from 4 kHz on. */
static void test_above_8_khz(void)
{
    static float power[k_max_bins], gain[k_max_bins];
    float bands[k_bands], gathered[k_bands];
    double sum = 0.0;
    int count = 0;
    uint32_t seed = 3;
    for (int b = 0; b < k_bands; b++) {
        bands[b] = 0.5f + 0.5f * ae_random(&seed);
        if (centre_hz(b) < 4000.0) continue;
        sum += (double)bands[b];
        count++;
    }
    for (int r = 2; r < 5; r++) {
        rig self = make(k_rates[r]);
        ae_echo_bands_spread(self.bands, bands, gain);
        for (int k = 0; k < self.bins; k++) {
            const int above = (float)k * self.bin_hz > 8000.0f;
            power[k] = above ? 1.0f : 0.0f;
            if (above) CHECK_NEAR(gain[k], sum / count, 1e-6);
        }
        ae_echo_bands_gather(self.bands, power, gathered);
        for (int b = 0; b < k_bands; b++) CHECK(gathered[b] == 0.0f);
        destroy(&self);
    }
}

/* A band whose triangle begins above half the rate holds nothing; the others hold something. */
static void test_low_rates_leave_the_upper_bands_empty(void)
{
    static const int rates[] = {8000, 11025, 12000, 16000};
    static float power[k_max_bins];
    float gathered[k_bands];
    for (int r = 0; r < 4; r++) {
        rig self = make(rates[r]);
        ae_fill(power, 1.0f, self.bins);
        ae_echo_bands_gather(self.bands, power, gathered);
        for (int b = 0; b < k_bands; b++) {
            const int is_empty = b > 0 && centre_hz(b - 1) >= 0.5 * rates[r];
            CHECK(is_empty ? gathered[b] == 0.0f : gathered[b] > 0.0f);
        }
        destroy(&self);
    }
}

int main(void)
{
    test_create_checks_every_field();
    test_a_sine_lands_where_it_belongs();
    test_a_constant_stays_one();
    test_gains_are_interpolated();
    test_gather_and_spread_are_adjoint();
    test_above_8_khz();
    test_low_rates_leave_the_upper_bands_empty();
    return AE_TEST_RESULT();
}
