/* Truths: the analytic Butterworth magnitude under the bilinear transform; superposition in place.
 */
#include "ae_biquad.h"
#include "ae_math.h"
#include "ae_test.h"

static const double k_pi = 3.14159265358979323846;
static const double k_butterworth_q = 0.70710678118654752;

static void test_magnitude_is_the_analytic_one(void)
{
    const double rates[] = {8000, 11025, 44100, 48000, 96000};
    const double cutoffs[] = {20, 80, 300, 3000};
    for (int r = 0; r < 5; r++) {
        for (int c = 0; c < 4; c++) {
            const ae_biquad filter = ae_biquad_high_pass(rates[r], cutoffs[c], k_butterworth_q);
            CHECK(filter.b0 + filter.b1 + filter.b2 == 0.0);
            CHECK(fabs(filter.a2) < 1.0 && fabs(filter.a1) < 1.0 + filter.a2); /* stable */
            for (double f = 10; f < 0.49 * rates[r]; f *= 1.7) {
                const double ratio = tan(k_pi * cutoffs[c] / rates[r]) / tan(k_pi * f / rates[r]);
                CHECK_NEAR(ae_biquad_magnitude(&filter, f, rates[r]),
                           1.0 / sqrt(1.0 + pow(ratio, 4.0)), 1e-7);
            }
        }
    }
}

static void test_filter_has_the_designed_magnitude(void)
{
    enum { k_frames = 48000 };
    static float signal[k_frames];
    const ae_biquad filter = ae_biquad_high_pass(48000.0, 200.0, k_butterworth_q);
    const double frequencies[] = {100, 200, 1000, 20000};
    for (int k = 0; k < 4; k++) {
        for (int i = 0; i < k_frames; i++)
            signal[i] = (float)sin(2.0 * k_pi * frequencies[k] * i / 48000.0);
        ae_biquad_state state = {0.0, 0.0};
        ae_biquad_process(&filter, &state, signal, signal, 17);
        ae_biquad_process(&filter, &state, signal + 17, signal + 17, k_frames - 17);
        double power = 0.0; /* over the last half second: whole periods of each sine */
        for (int i = k_frames / 2; i < k_frames; i++)
            power += (double)signal[i] * (double)signal[i];
        CHECK_NEAR(sqrt(power / (k_frames / 4)),
                   ae_biquad_magnitude(&filter, frequencies[k], 48000.0), 1e-5);
    }
}

int main(void)
{
    test_magnitude_is_the_analytic_one();
    test_filter_has_the_designed_magnitude();
    return AE_TEST_RESULT();
}
