/* Truths: the closed form of a Butterworth band-pass, squared, without phase; a constant gives
 * nothing; a mirrored signal gives the mirrored result. */
#include <math.h>
#include <stdlib.h>

#include "ae_lip_bandpass.h"
#include "ae_math.h"
#include "ae_test.h"

static const double k_two_pi = 6.283185307179586;

enum { k_edge = AE_LIP_BANDPASS_EDGE, k_frames = 6000 };

static float *make_rows(int width)
{
    return calloc((size_t)((k_frames + 2 * k_edge) * width), sizeof(float));
}

/* |H|^2 of the bilinear transform of 1 / (1 + ((w^2 - w0^2) / (w B))^4). */
static double power_gain(double hz, double low_hz, double high_hz, double rate_hz)
{
    const double w = tan(0.5 * k_two_pi * hz / rate_hz),
                 low = tan(0.5 * k_two_pi * low_hz / rate_hz);
    const double high = tan(0.5 * k_two_pi * high_hz / rate_hz);
    const double x = (w * w - low * high) / (w * (high - low));
    return 1.0 / (1.0 + x * x * x * x);
}

static void test_sines_against_the_closed_form(void)
{
    static const double tones_hz[8] = {0.1, 0.2, 0.5, 2.0, 5.0, 12.0, 20.0, 40.0};
    const ae_lip_bandpass band = ae_lip_bandpass_design(0.2, 12.0, 100.0);
    float *memory = make_rows(8), *rows = memory + k_edge * 8;
    for (int t = 0; t < k_frames; t++)
        for (int j = 0; j < 8; j++)
            rows[t * 8 + j] = (float)sin(k_two_pi * tones_hz[j] * t / 100.0);
    ae_lip_bandpass_run(&band, rows, k_frames, 8, 8);
    for (int j = 0; j < 8; j++) { /* whole periods of each in the middle */
        double sine = 0.0, cosine = 0.0;
        for (int t = 2000; t < 4000; t++) {
            sine += (double)rows[t * 8 + j] * sin(k_two_pi * tones_hz[j] * t / 100.0) / 1000.0;
            cosine += (double)rows[t * 8 + j] * cos(k_two_pi * tones_hz[j] * t / 100.0) / 1000.0;
        }
        CHECK_NEAR(sine, power_gain(tones_hz[j], 0.2, 12.0, 100.0), 1e-4);
        CHECK_NEAR(cosine, 0.0, 1e-4);
    }
    free(memory);
}

static void test_widths_and_columns_alike(void)
{
    const ae_lip_bandpass band = ae_lip_bandpass_design(0.2, 10.0, 100.0);
    float *memory8 = make_rows(8), *memory32 = make_rows(32), *others = make_rows(32);
    float *rows8 = memory8 + k_edge * 8, *rows32 = memory32 + k_edge * 32;
    float *other = others + k_edge * 32;
    uint32_t seed = 7;
    int untouched = 0;
    for (int t = 0; t < 200; t++) {
        const float value = ae_random(&seed);
        rows8[t * 8 + 3] = rows32[t * 32] = rows32[t * 32 + 23] = other[t * 32 + 2] = value;
        rows32[t * 32 + 24] = other[t * 32 + 3] = value; /* beyond the width */
        rows8[t * 8 + 1] = ae_random(&seed);
    }
    ae_lip_bandpass_run(&band, rows8, 200, 8, 8);
    ae_lip_bandpass_run(&band, rows32, 200, 32, 24);
    ae_lip_bandpass_run(&band, other, 200, 32, 3);
    for (int t = 0; t < 200; t++) {
        CHECK_NEAR(rows8[t * 8 + 3], rows32[t * 32], 1e-6);
        CHECK_NEAR(rows8[t * 8 + 3], other[t * 32 + 2], 1e-6);
        CHECK(rows32[t * 32] == rows32[t * 32 + 23] && rows32[t * 32 + 5] == 0.0f);
        CHECK(rows32[t * 32 + 24] == other[t * 32 + 3]);
        untouched += rows32[t * 32 + 24] != 0.0f;
        CHECK(rows8[t * 8] == 0.0f);
    }
    CHECK(untouched > 190);
    free(memory8);
    free(memory32);
    free(others);
}

static void test_a_constant_gives_nothing_and_nothing_rings(void)
{
    const ae_lip_bandpass band = ae_lip_bandpass_design(0.2, 12.0, 100.0);
    float *memory = make_rows(8), *rows = memory + k_edge * 8;
    for (int t = 0; t < 300; t++) {
        rows[t * 8] = -80.0f;                       /* silence in dB */
        rows[t * 8 + 1] = -80.0f + 0.2f * (float)t; /* a slope: no jump at its ends */
        rows[t * 8 + 2] = 1e6f * (float)(t % 2);    /* the highest frequency */
    }
    ae_lip_bandpass_run(&band, rows, 300, 8, 8);
    for (int t = 0; t < 300; t++) {
        CHECK(rows[t * 8] == 0.0f);
        CHECK(fabsf(rows[t * 8 + 1]) < 40.0f);
        CHECK(fabsf(rows[t * 8 + 2]) < 1e6f);
    }
    free(memory);
}

static void test_mirrored_in_mirrored_out(void)
{
    const ae_lip_bandpass band = ae_lip_bandpass_design(0.2, 12.0, 100.0);
    enum { k_short = 3000 };
    float *memory = make_rows(8), *rows = memory + k_edge * 8;
    uint32_t seed = 3;
    for (int t = 0; t < k_short; t++) {
        const float value = ae_random(&seed);
        rows[t * 8] = value;
        rows[(k_short - 1 - t) * 8 + 1] = value;
    }
    ae_lip_bandpass_run(&band, rows, k_short, 8, 8);
    for (int t = 1000; t < k_short - 1000; t++) /* past the ends' transients */
        CHECK_NEAR(rows[t * 8], rows[(k_short - 1 - t) * 8 + 1], 1e-3);
    free(memory);
}

int main(void)
{
    test_sines_against_the_closed_form();
    test_widths_and_columns_alike();
    test_a_constant_gives_nothing_and_nothing_rings();
    test_mirrored_in_mirrored_out();
    return AE_TEST_RESULT();
}
