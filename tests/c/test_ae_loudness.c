/* Truths: EBU Tech 3341 cases 1 to 6, 9 and 12 and Tech 3342 cases 1 to 4 (sines whose loudness the
 * documents state), the weight of each channel in BS.1770-5, the closed form of sine peaks. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ae_kweight.h"
#include "ae_loudness.h"
#include "ae_math.h"
#include "ae_test.h"

static const double k_two_pi = 6.283185307179586;

typedef struct {
    double seconds, dbfs; /* peak level of a 1 kHz sine */
} part;

static ae_loudness *make(int rate_hz, int channels)
{
    ae_loudness_config config = ae_loudness_default_config(rate_hz);
    config.channels = channels;
    ae_loudness *self = NULL;
    CHECK(ae_loudness_create(&self, &config) == AE_OK);
    return self;
}

/* The parts as one continuous carrier into the channels named in `mask`, in blocks of `block`. */
static void play(ae_loudness *self, int rate_hz, int channels, int mask, const part *parts,
                 int count, int block)
{
    float *x = malloc((size_t)block * sizeof(float)),
          *silence = calloc((size_t)block, sizeof(float));
    const float *planes[AE_MAX_CHANNELS];
    for (int c = 0; c < channels; c++) planes[c] = mask >> c & 1 ? x : silence;
    int64_t at = 0, end = 0;
    for (int p = 0; p < count; p++) {
        end += llround(parts[p].seconds * rate_hz);
        const double amplitude = pow(10.0, parts[p].dbfs / 20.0);
        while (at < end) {
            const int frames = end - at < block ? (int)(end - at) : block;
            for (int n = 0; n < frames; n++, at++) {
                x[n] = (float)(amplitude * sin(k_two_pi * 1000.0 * (double)at / rate_hz));
            }
            ae_loudness_process(self, planes, frames);
        }
    }
    free(x);
    free(silence);
}

static ae_loudness_report measure(int rate_hz, const part *parts, int count)
{
    ae_loudness *self = make(rate_hz, 2);
    ae_loudness_report report;
    play(self, rate_hz, 2, 3, parts, count, 1000);
    ae_loudness_read(self, &report);
    ae_loudness_destroy(self);
    return report;
}

static void test_ebu_3341(void)
{
    static const int rates[] = {11025, 48000, 192000};
    static const part one[] = {{20, -23}}, two[] = {{20, -33}};
    static const part three[] = {{10, -36}, {60, -23}, {10, -36}};
    static const part four[] = {{10, -72}, {10, -36}, {60, -23}, {10, -36}, {10, -72}};
    static const part five[] = {{20, -26}, {20.1, -20}, {20, -26}};
    for (int r = 0; r < 3; r++) {
        const ae_loudness_report first = measure(rates[r], one, 1);
        CHECK_NEAR(first.integrated_lufs, -23.0, 0.1);
        CHECK_NEAR(first.momentary_lufs, -23.0, 0.1);
        CHECK_NEAR(first.short_term_lufs, -23.0, 0.1);
        CHECK_NEAR(first.max_momentary_lufs, -23.0, 0.1);
        CHECK_NEAR(first.max_short_term_lufs, -23.0, 0.1);
        CHECK_NEAR(first.sample_peak_dbfs, -23.0, 0.05);
        CHECK_NEAR(measure(rates[r], two, 1).integrated_lufs, -33.0, 0.1);
        if (rates[r] > 48000) continue; /* gates do not depend on the rate */
        CHECK_NEAR(measure(rates[r], three, 3).integrated_lufs, -23.0, 0.1);
        CHECK_NEAR(measure(rates[r], four, 5).integrated_lufs, -23.0, 0.1);
        CHECK_NEAR(measure(rates[r], five, 3).integrated_lufs, -23.0, 0.1);
    }
}

/* Cases 9 and 12: every reading after the window is full is -23 LUFS. */
static void test_ebu_3341_live_readings(void)
{
    static const part slow[] = {{1.34, -20}, {1.66, -30}}, fast[] = {{0.18, -20}, {0.22, -30}};
    ae_loudness *self = make(48000, 2);
    ae_loudness_report report;
    for (int i = 0; i < 5; i++) {
        play(self, 48000, 2, 3, slow, 2, 480);
        ae_loudness_read(self, &report);
        CHECK_NEAR(report.short_term_lufs, -23.0, 0.1);
    }
    ae_loudness_reset(self);
    for (int i = 0; i < 25; i++) {
        play(self, 48000, 2, 3, fast, 2, 480);
        ae_loudness_read(self, &report);
        if (i >= 2) CHECK_NEAR(report.momentary_lufs, -23.0, 0.1);
    }
    ae_loudness_destroy(self);
}

/* Case 6 is L R -28, C -24, Ls Rs -30 dBFS; here each channel alone, against its weight. */
static void test_channel_weights(void)
{
    static const part tone[] = {{5, -20}};
    static const double centre = -23.01, side = -23.01 + 1.49, none = -HUGE_VAL;
    const double expected[3][8] = {
        {centre, centre, side, side},
        {centre, centre, centre, none, side, side},
        {centre, centre, centre, none, centre, centre, side, side},
    };
    static const int channels[3] = {4, 6, 8};
    for (int l = 0; l < 3; l++) {
        ae_loudness *self = make(16000, channels[l]);
        for (int c = 0; c < channels[l]; c++) {
            ae_loudness_report report;
            ae_loudness_reset(self);
            play(self, 16000, channels[l], 1 << c, tone, 1, 160);
            ae_loudness_read(self, &report);
            if (isinf(expected[l][c])) {
                CHECK(isinf(report.integrated_lufs));
            } else {
                CHECK_NEAR(report.integrated_lufs, expected[l][c], 0.1);
            }
        }
        ae_loudness_destroy(self);
    }
    ae_loudness_config config = ae_loudness_default_config(16000);
    config.channel_weights[0] = 2.0f; /* mono for two loudspeakers: as loud as stereo */
    ae_loudness *self = NULL;
    ae_loudness_report report;
    CHECK(ae_loudness_create(&self, &config) == AE_OK);
    play(self, 16000, 1, 1, tone, 1, 160);
    ae_loudness_read(self, &report);
    CHECK_NEAR(report.integrated_lufs, -20.0, 0.1);
    ae_loudness_destroy(self);
}

static void test_ebu_3342(void)
{
    static const part one[] = {{20, -20}, {20, -30}}, two[] = {{20, -20}, {20, -15}};
    static const part three[] = {{20, -40}, {20, -20}};
    static const part four[] = {{20, -50}, {20, -35}, {20, -20}, {20, -35}, {20, -50}};
    CHECK_NEAR(measure(48000, one, 2).loudness_range_lu, 10.0, 0.1); /* the document allows 1 LU */
    CHECK_NEAR(measure(44100, two, 2).loudness_range_lu, 5.0, 0.1);
    CHECK_NEAR(measure(16000, three, 2).loudness_range_lu, 20.0, 0.1);
    CHECK_NEAR(measure(32000, four, 5).loudness_range_lu, 15.0, 0.1);
    CHECK(measure(8000, four, 5).range_is_stable == 1 &&
          measure(8000, one, 2).range_is_stable == 0);
}

/* A sine of amplitude 0.5 whose samples never reach it, faded in and out. */
static void test_true_peak_of_sines(void)
{
    static const int rates[] = {8000, 44100, 96000, 192000};
    for (int r = 0; r < 4; r++) {
        const int frames = rates[r] / 2;
        float *x = malloc((size_t)frames * sizeof(float));
        const float *planes[1] = {x};
        for (int k = 1; k <= 18; k++) {
            const double turn = 0.025 * k,
                         phase = k == 10 ? 0.125 : 0.03 * k; /* rate/4 at 45 degrees */
            for (int n = 0; n < frames; n++) {
                const double edge = fmin(1.0, fmin(n, frames - 1 - n) / (0.1 * frames));
                x[n] = (float)(0.5 * sin(k_two_pi * (turn * n + phase)) *
                               (0.5 - 0.5 * cos(0.5 * k_two_pi * edge)));
            }
            ae_loudness *self = make(rates[r], 1);
            ae_loudness_report report;
            ae_loudness_process(self, planes, frames);
            ae_loudness_flush(self);
            ae_loudness_read(self, &report);
            CHECK_NEAR(report.true_peak_dbtp, -6.02, 0.05);
            if (k == 10) CHECK_NEAR(report.sample_peak_dbfs, -9.03, 0.01);
            ae_loudness_destroy(self);
        }
        free(x);
    }
}

static void test_any_block_length_same_report(void)
{
    enum { rate = 22050, frames = 5 * rate };
    static float x[2][frames];
    static const int cuts[] = {1, 17, 221, 480, 4800, frames};
    uint32_t seed = 5;
    for (int n = 0; n < frames; n++) {
        x[0][n] = 0.3f * ae_random(&seed) * (float)(1 + n / rate);
        x[1][n] = 0.1f * ae_random(&seed);
    }
    ae_loudness_report first, report;
    for (int k = 0; k < 6; k++) {
        ae_loudness *self = make(rate, 2), *other = make(rate, 2);
        const uint64_t before = ae_allocation_count();
        for (int at = 0; at < frames; at += cuts[k]) {
            const float *planes[2] = {x[0] + at, x[1] + at}, *swapped[2] = {x[1] + at, x[0] + at};
            const int count = at + cuts[k] < frames ? cuts[k] : frames - at;
            ae_loudness_process(self, planes, count);
            ae_loudness_process(other, swapped, count); /* must not disturb */
        }
        ae_loudness_read(self, &report);
        CHECK(ae_allocation_count() == before);
        if (k == 0) first = report;
        CHECK(memcmp(&first, &report, sizeof first) == 0);
        ae_loudness_reset(self);
        const float *planes[2] = {x[0], x[1]};
        ae_loudness_process(self, planes, frames);
        ae_loudness_read(self, &report);
        CHECK(memcmp(&first, &report, sizeof first) == 0);
        ae_loudness_destroy(self);
        ae_loudness_destroy(other);
    }
}

static void test_merge_is_one_programme(void)
{
    static const part quiet[] = {{20, -36}}, loud[] = {{30, -20}};
    ae_loudness *a = make(48000, 2), *b = make(16000, 2);
    ae_loudness_report report;
    play(a, 48000, 2, 3, quiet, 1, 480);
    play(b, 16000, 2, 3, loud, 1, 160);
    ae_loudness_merge(a, b);
    ae_loudness_read(a, &report);
    CHECK_NEAR(report.integrated_lufs, -20.0,
               0.1); /* the quiet part falls below the relative gate */
    CHECK_NEAR(report.loudness_range_lu, 16.0, 0.1);
    CHECK_NEAR(report.max_momentary_lufs, -20.0, 0.1);
    CHECK_NEAR(report.momentary_lufs, -36.0, 0.1);
    CHECK_NEAR(report.true_peak_dbtp, -20.0, 0.05);
    CHECK(report.frames == 20 * 48000 + 30 * 16000);
    CHECK(report.range_is_stable == 0); /* 50 s */
    ae_loudness_merge(a, b);
    ae_loudness_read(a, &report);
    CHECK(report.range_is_stable == 1);
    ae_loudness_destroy(a);
    ae_loudness_destroy(b);
}

/* Ten energies a second, whenever they are taken; 4 and 30 of them are the live windows. */
static void test_blocks_are_handed_out(void)
{
    enum { rate = 11025 };
    static const part steps[] = {{1, -20}, {1, -26}, {2.05, -32}};
    double all[2 * AE_LOUDNESS_KEPT_BLOCKS], late[AE_LOUDNESS_KEPT_BLOCKS], window = 0.0;
    ae_loudness *often = make(rate, 2), *once = make(rate, 2);
    ae_loudness_report report;
    int count = 0;
    for (int i = 0; i < 3; i++) {
        play(often, rate, 2, 3, &steps[i], 1, 100);
        play(once, rate, 2, 3, &steps[i], 1, 4321);
        const uint64_t before = ae_allocation_count();
        count += ae_loudness_take_blocks(often, all + count);
        CHECK(ae_allocation_count() == before);
        CHECK(ae_loudness_take_blocks(often, all + count) == 0);
    }
    CHECK(count == 40 && ae_loudness_take_blocks(once, late) == 40);
    CHECK(memcmp(all, late, 40 * sizeof *all) == 0);
    CHECK_NEAR(ae_lufs_from_mean_square(all[5]), -20.0, 0.1);
    CHECK_NEAR(ae_lufs_from_mean_square(all[15]), -26.0, 0.1);
    static const part rest[] = {{25.55, -23}};
    play(often, rate, 2, 3, rest, 1, 100); /* to 29.6 s, where a block ends */
    CHECK(ae_loudness_take_blocks(often, all) == AE_LOUDNESS_KEPT_BLOCKS);
    for (int i = 0; i < 30; i++) window += all[AE_LOUDNESS_KEPT_BLOCKS - 1 - i] / 30.0;
    ae_loudness_read(often, &report);
    CHECK_NEAR(ae_lufs_from_mean_square(window), report.short_term_lufs, 1e-9);
    play(often, rate, 2, 3, rest, 1, 100);
    play(often, rate, 2, 3, rest, 1, 100); /* longer than any is kept */
    CHECK(ae_loudness_take_blocks(often, all) == AE_LOUDNESS_KEPT_BLOCKS);
    ae_loudness_reset(often);
    CHECK(ae_loudness_take_blocks(often, all) == 0);
    ae_loudness_destroy(often);
    ae_loudness_destroy(once);
}

static void test_bad_weather(void)
{
    enum { rate = 16000 };
    static const part loud[] = {{1, 36}}, silence[] = {{10, -400}}, tone[] = {{20, -23}},
                      slam[] = {{0.1, -300}};
    ae_loudness *self = make(rate, 2);
    ae_loudness_report report;
    ae_loudness_read(self, &report);
    CHECK(isinf(report.integrated_lufs) && isinf(report.true_peak_dbtp) &&
          report.loudness_range_lu == 0.0);
    float broken[4] = {NAN, INFINITY, -INFINITY, 1e-42f};
    const float *planes[2] = {broken, broken};
    ae_loudness_process(self, planes, 4);
    play(self, rate, 2, 3, slam, 1, 160);
    play(self, rate, 2, 3, tone, 1, 160);
    ae_loudness_read(self, &report);
    CHECK_NEAR(report.integrated_lufs, -23.0, 0.1);
    CHECK_NEAR(report.true_peak_dbtp, -23.0, 0.05);
    ae_loudness_reset(self);
    play(self, rate, 2, 3, loud, 1, 160);
    play(self, rate, 2, 3, silence, 1, 160);
    ae_loudness_read(self, &report);
    CHECK(isinf(report.momentary_lufs) && isinf(report.short_term_lufs)); /* nothing of it stays */
    CHECK_NEAR(report.max_momentary_lufs, 36.0, 0.2);
    ae_loudness_destroy(self);
}

static void test_refusals(void)
{
    ae_loudness_config wrong[8];
    for (int i = 0; i < 8; i++) wrong[i] = ae_loudness_default_config(48000);
    wrong[0].sample_rate_hz = 7999, wrong[1].sample_rate_hz = 192001, wrong[2].channels = 0;
    wrong[3].channels = 9, wrong[4].true_peak = 2, wrong[5].channel_weights[0] = -1.0f;
    wrong[6].channel_weights[0] = NAN, wrong[7].channel_weights[0] = 5.0f;
    for (int i = 0; i < 8; i++) {
        ae_loudness *self = (ae_loudness *)8;
        CHECK(ae_loudness_create(&self, &wrong[i]) == AE_ERROR_ARGUMENT && self == NULL);
    }
    ae_loudness_destroy(NULL);
}

int main(void)
{
    test_ebu_3341();
    test_ebu_3341_live_readings();
    test_channel_weights();
    test_ebu_3342();
    test_true_peak_of_sines();
    test_any_block_length_same_report();
    test_merge_is_one_programme();
    test_blocks_are_handed_out();
    test_bad_weather();
    test_refusals();
    return AE_TEST_RESULT();
}
