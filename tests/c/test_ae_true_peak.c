/* Truths: closed-form sines at the phases where the samples, and the x4 grid, are lowest; the
 * bound. */
#include <math.h>

#include "ae_math.h"
#include "ae_test.h"
#include "ae_true_peak.h"

enum { k_margin = AE_TRUE_PEAK_MARGIN, k_frames = 1000, k_total = k_frames + 2 * k_margin };
static const double k_two_pi = 6.283185307179586;
static ae_true_peak interpolator;

static void test_sines_at_all_phases(void)
{
    for (int f = 1; f <= 45; f++) {
        for (int p = 0; p < 16; p++) {
            /* One peak, at n = 500 + p / 16, of a sine faded around it. */
            float x[k_total], peak[k_frames], largest = 0.0f;
            for (int n = 0; n < k_total; n++) {
                const double t = n - k_margin - 500.0 - p / 16.0;
                x[n] = (float)(0.5 * cos(k_two_pi * 0.01 * f * t) * exp(-0.5 * t * t / 1e4));
            }
            ae_true_peak_envelope(&interpolator, x + k_margin, k_frames, peak);
            for (int n = 0; n < k_frames; n++) largest = peak[n] > largest ? peak[n] : largest;
            CHECK_NEAR(20.0 * log10((double)largest / 0.5), 0.0, f <= 25 ? 0.015 : 0.07);
        }
    }
}

static void test_cut_anywhere_same_bits(void)
{
    float x[k_total], whole[k_frames], parts[k_frames];
    uint32_t seed = 1;
    for (int n = 0; n < k_total; n++) x[n] = ae_random(&seed);
    ae_true_peak_envelope(&interpolator, x + k_margin, k_frames, whole);
    for (int step = 1; step < 400; step = step * 3 + 2) {
        for (int at = 0; at < k_frames; at += step) {
            const int count = at + step < k_frames ? step : k_frames - at;
            ae_true_peak_envelope(&interpolator, x + k_margin + at, count, parts + at);
        }
        CHECK(memcmp(whole, parts, sizeof whole) == 0);
    }
    for (int n = 0; n < k_frames; n++) CHECK(whole[n] >= fabsf(x[k_margin + n]));
}

/* The signs of the taps make the worst sequence; nothing exceeds the stated bound. */
static void test_bound(void)
{
    float x[k_total] = {0}, peak[k_frames], largest = 0.0f;
    uint32_t seed = 1;
    for (int n = 0; n < k_total; n++) x[n] = ae_random(&seed) > 0.0f ? 1.0f : -1.0f;
    for (int k = 0; k < k_margin; k++) {
        x[500 - k] = interpolator.middle[k] > 0.0f ? 1.0f : -1.0f;
        x[501 + k] = x[500 - k];
    }
    ae_true_peak_envelope(&interpolator, x + k_margin, k_frames, peak);
    for (int n = 0; n < k_frames; n++) largest = peak[n] > largest ? peak[n] : largest;
    CHECK(largest > 0.7f * interpolator.bound && largest <= interpolator.bound);
    CHECK(interpolator.bound < 3.7f);
}

int main(void)
{
    ae_true_peak_init(&interpolator);
    test_sines_at_all_phases();
    test_cut_anywhere_same_bits();
    test_bound();
    return AE_TEST_RESULT();
}
