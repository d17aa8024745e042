/* Truths: the response computed from the numbers printed in BS.1770-5 (48 kHz), the printed anchor
 * of 0 dB at 997 Hz after the -0.691 constant, and the closed-form energy of a sine. */
#include <stdlib.h>
#include <string.h>

#include "ae_kweight.h"
#include "ae_math.h"
#include "ae_test.h"

static const double k_two_pi = 6.283185307179586;

/* |H| in dB of the printed 48 kHz sections; made with scipy.signal.freqz from the printed numbers.
 */
static const struct {
    double hz, db;
} k_anchors[] = {
    {25.0, -10.39276}, {100.0, -1.13350}, {500.0, 0.04246},  {1000.0, 0.69770},
    {2000.0, 3.07126}, {5000.0, 4.01338}, {7000.0, 4.03626}, {10000.0, 4.04188},
};

static void test_response_at_all_rates(void)
{
    static const int rates[] = {8000,  11025, 12345, 16000, 22050, 24000,  32000, 44100,
                                47999, 48000, 64000, 88200, 96000, 176400, 192000};
    for (int r = 0; r < (int)(sizeof rates / sizeof rates[0]); r++) {
        ae_kweight_filter filter;
        CHECK(ae_kweight_design(&filter, rates[r]) == AE_OK);
        for (int i = 0; i < (int)(sizeof k_anchors / sizeof k_anchors[0]); i++) {
            if (k_anchors[i].hz > 0.45 * rates[r]) continue;
            const double tolerance = rates[r] < 16000 ? 0.02 : 0.003;
            CHECK_NEAR(ae_kweight_magnitude_db(&filter, rates[r], k_anchors[i].hz), k_anchors[i].db,
                       tolerance);
        }
    }
}

/* An independent least-squares fit (scipy.optimize.least_squares, same band) of stage 1. */
static void test_fit_agrees_with_scipy(void)
{
    static const struct {
        int rate_hz;
        double b[3], a[2];
    } fits[] = {
        {8000,
         {1.279738682924, -0.901462958725, 0.289561776991},
         {-0.466747726789, 0.151317174899}},
        {16000,
         {1.426113669869, -1.832030616211, 0.678639690636},
         {-1.117545975540, 0.392992792068}},
        {44100,
         {1.530127803821, -2.649899869814, 1.168618424552},
         {-1.663722273230, 0.712590147868}},
        {96000,
         {1.563679119703, -2.933925171655, 1.381576196646},
         {-1.844547570622, 0.855849525687}},
    };
    for (int i = 0; i < 4; i++) {
        ae_kweight_filter filter;
        CHECK(ae_kweight_design(&filter, fits[i].rate_hz) == AE_OK);
        for (int k = 0; k < 3; k++) CHECK_NEAR(filter.stage1_b[k], fits[i].b[k], 2e-5);
        for (int k = 0; k < 2; k++) CHECK_NEAR(filter.stage1_a[k], fits[i].a[k], 2e-5);
    }
}

static ae_kweight *make(int rate_hz, int channels)
{
    ae_kweight *self = NULL;
    const ae_kweight_config config = {rate_hz, channels};
    CHECK(ae_kweight_create(&self, &config) == AE_OK);
    return self;
}

static void test_sine_energy(void)
{
    enum { rate = 48000 };
    ae_kweight *self = make(rate, 2);
    float *x = malloc(rate * sizeof(float));
    for (int n = 0; n < rate; n++) x[n] = (float)(0.1 * sin(k_two_pi * 997.0 * n / rate));
    const float *planes[2] = {x, x};
    ae_kweight_mean_square(self, planes, rate);
    const double mean_square = ae_kweight_mean_square(self, planes, rate);
    /* Stereo 997 Hz sine of -20 dBFS peak: -20 LUFS (EBU Tech 3341: 1 kHz at -23 dBFS is -23 LUFS).
     */
    CHECK_NEAR(ae_lufs_from_mean_square(mean_square), -20.0, 0.01);
    free(x);
    ae_kweight_destroy(self);
}

static void test_any_cut_same_bits(void)
{
    enum { frames = 5000 };
    static float x[3][frames];
    uint32_t seed = 7;
    for (int c = 0; c < 3; c++)
        for (int n = 0; n < frames; n++) x[c][n] = ae_random(&seed);
    const float *planes[3] = {x[0], x[1], x[2]};
    double whole[3] = {0}, again[3] = {0};
    ae_kweight *self = make(44100, 3);
    ae_kweight_add_energy(self, planes, 0, frames, whole);
    static const int cuts[] = {1, 17, 480, 255, 257};
    for (int k = 0; k < 5; k++) {
        ae_kweight_reset(self);
        memset(again, 0, sizeof again);
        const uint64_t before = ae_allocation_count();
        for (int at = 0; at < frames; at += cuts[k]) {
            ae_kweight_add_energy(self, planes, at, at + cuts[k] < frames ? cuts[k] : frames - at,
                                  again);
        }
        CHECK(ae_allocation_count() == before);
        CHECK(memcmp(whole, again, sizeof whole) == 0);
    }
    ae_kweight_destroy(self);
}

static void test_bad_weather(void)
{
    static float x[48000];
    const float *planes[1] = {x};
    ae_kweight *self = make(48000, 1);
    for (int n = 0; n < 48000; n++) x[n] = 64.0f;
    ae_kweight_mean_square(self, planes, 48000);
    memset(x, 0, sizeof x);
    CHECK(isfinite(ae_kweight_mean_square(self, planes, 48000)));
    for (int s = 0; s < 3; s++) ae_kweight_mean_square(self, planes, 48000);
    CHECK(ae_kweight_mean_square(self, planes, 48000) == 0.0);
    x[0] = NAN; /* recovers after one settling interval */
    ae_kweight_mean_square(self, planes, 480);
    x[0] = 0.0f;
    CHECK(ae_kweight_mean_square(self, planes, 480) == 0.0);
    ae_kweight_destroy(self);
}

static void test_refusals(void)
{
    static const ae_kweight_config wrong[] = {{7999, 1}, {192001, 1}, {48000, 0}, {48000, 9}};
    for (int i = 0; i < 4; i++) {
        ae_kweight *self = (ae_kweight *)8;
        CHECK(ae_kweight_create(&self, &wrong[i]) == AE_ERROR_ARGUMENT && self == NULL);
    }
    ae_kweight_destroy(NULL);
}

int main(void)
{
    test_response_at_all_rates();
    test_fit_agrees_with_scipy();
    test_sine_energy();
    test_any_cut_same_bits();
    test_bad_weather();
    test_refusals();
    return AE_TEST_RESULT();
}
