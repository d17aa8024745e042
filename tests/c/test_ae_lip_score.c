/* Truths: two sides made from one continuous movement with a known shift, fractions of a frame
 * included; a window without movement has no peak. */
#include <math.h>
#include <string.h>

#include "ae_lip_audio.h"
#include "ae_lip_mouth.h"
#include "ae_lip_score.h"
#include "ae_math.h"
#include "ae_test.h"

static const double k_two_pi = 6.283185307179586;

enum { k_frames = 1000, k_max_lag = 130 };

/* Syllables: sines of 0.7 to 5.2 Hz that never repeat. */
static double movement(double t)
{
    double sum = 0.0, hz = 0.7;
    for (int i = 0; i < 12; i++, hz *= 1.2) sum += sin(k_two_pi * hz * t + 2.4 * i * i);
    return sum / 3.5;
}

static ae_lip_score *make(const ae_lip_model *model)
{
    const ae_lip_score_config config = {k_frames, k_max_lag, model};
    ae_lip_score *self = NULL;
    CHECK(ae_lip_score_create(&self, &config) == AE_OK);
    return self;
}

/* The first formant's share in dB late by lag_ms against the gap of the lips. */
static void fill(ae_lip_score *self, int frames, double lag_ms)
{
    float *audio = ae_lip_score_audio(self), *mouth = ae_lip_score_mouth(self);
    memset(audio, 0, (size_t)frames * AE_LIP_ROW * sizeof(float));
    memset(mouth, 0, (size_t)frames * AE_LIP_MOUTH_ROW * sizeof(float));
    for (int t = 0; t < frames; t++) {
        for (int b = 4; b < 8; b++) /* 552 .. 963 Hz */
            audio[t * AE_LIP_ROW + b] = -30.0f + 8.0f * (float)movement(0.01 * t - 0.001 * lag_ms);
        audio[t * AE_LIP_ROW + AE_LIP_PRESENT] = 1.0f;
        mouth[t * AE_LIP_MOUTH_ROW] = 0.2f + 0.05f * (float)movement(0.01 * t);
        ae_lip_score_weight(self)[t] = 1.0f;
    }
}

static void test_shifts(void)
{
    static const double lags_ms[] = {0.0, 3.0, -14.5, 237.0, -706.0, 1204.0};
    ae_lip_score *self = make(ae_lip_model_untrained(1));
    for (int i = 0; i < 6; i++) {
        ae_lip_score_result result;
        fill(self, k_frames, lags_ms[i]);
        ae_lip_score_run(self, k_frames, k_frames, &result);
        CHECK_NEAR(result.lag_ms, lags_ms[i], 0.5);
        /* both pairs go together, over what is left of the window */
        CHECK_NEAR(result.peak, sqrt(1.0 - fabs(lags_ms[i]) / 10000.0), 0.02);
        CHECK(result.second < 0.8 * result.peak && result.halves > 0.99);
        CHECK_NEAR(result.mouth_moves, 0.05 * sqrt(6.0) / 3.5, 0.004);
        CHECK_NEAR(ae_lip_score_curve(self)[k_max_lag + (int)lround(lags_ms[i] / 10.0)],
                   result.peak, 0.02);
    }
    ae_lip_score_destroy(self);
}

static void test_gaps_on_either_side(void)
{
    ae_lip_score *self = make(ae_lip_model_untrained(1));
    ae_lip_score_result result;
    fill(self, k_frames, 126.0);
    for (int t = 0; t < k_frames; t++) {
        if (t > 200 && t < 350) { /* lost: a bridge for the filters is all there is */
            ae_lip_score_mouth(self)[t * AE_LIP_MOUTH_ROW] = 0.2f;
            ae_lip_score_weight(self)[t] = 0.0f;
        }
        if ((t > 600 && t < 700) || t < 20 || t > 980) {
            ae_lip_score_audio(self)[t * AE_LIP_ROW + 5] = 1e6f;
            ae_lip_score_audio(self)[t * AE_LIP_ROW + AE_LIP_PRESENT] = 0.0f;
        }
    }
    ae_lip_score_run(self, k_frames, k_frames, &result);
    CHECK_NEAR(result.lag_ms, 126.0, 3.0);
    for (int t = 0; t < k_frames; t++) /* no sound at all */
        ae_lip_score_audio(self)[t * AE_LIP_ROW + AE_LIP_PRESENT] = 0.0f;
    ae_lip_score_run(self, k_frames, k_frames, &result);
    CHECK(result.peak == 0.0 && result.second == 0.0);
    ae_lip_score_destroy(self);
}

static void test_no_movement_no_peak(void)
{
    ae_lip_score *self = make(ae_lip_model_trained(6));
    ae_lip_score_result result;
    fill(self, k_frames, 0.0);
    for (int t = 0; t < k_frames; t++) ae_lip_score_mouth(self)[t * AE_LIP_MOUTH_ROW] = 0.3f;
    ae_lip_score_run(self, k_frames, k_frames, &result);
    CHECK(fabs(result.peak) < 1e-3 && result.mouth_moves < 1e-6 && result.halves >= 0.0);
    ae_lip_score_destroy(self);
}

static int are_same(const ae_lip_score_result *a, const ae_lip_score_result *b)
{
    return a->lag_ms == b->lag_ms && a->at_edge == b->at_edge && a->peak == b->peak &&
           a->second == b->second && a->halves == b->halves && a->mouth_moves == b->mouth_moves;
}

static void test_runs_share_nothing(void)
{
    ae_lip_score *self = make(ae_lip_model_trained(1)), *other = make(ae_lip_model_trained(1));
    ae_lip_score_result first, again;
    fill(self, 400, 80.0);
    ae_lip_score_run(self, 400, 400.0f, &first);
    fill(other, k_frames, -300.0);
    const uint64_t allocations = ae_allocation_count();
    ae_lip_score_run(other, k_frames, k_frames, &again);
    fill(other, 400, 80.0);
    ae_lip_score_run(other, 400, 400.0f, &again);
    CHECK(ae_allocation_count() == allocations);
    CHECK(are_same(&first, &again));
    ae_lip_score_destroy(self);
    ae_lip_score_destroy(other);
}

/* The offset changes in the middle: each half has a peak of its own. */
static void test_halves_that_disagree(void)
{
    ae_lip_score *self = make(ae_lip_model_untrained(1)), *other = make(ae_lip_model_untrained(1));
    ae_lip_score_result result;
    fill(self, k_frames, 0.0);
    fill(other, k_frames, 400.0);
    memcpy(ae_lip_score_audio(self) + k_frames / 2 * AE_LIP_ROW,
           ae_lip_score_audio(other) + k_frames / 2 * AE_LIP_ROW,
           (size_t)k_frames / 2 * AE_LIP_ROW * sizeof(float));
    ae_lip_score_run(self, k_frames, k_frames, &result);
    CHECK(result.halves < 0.6);
    ae_lip_score_destroy(self);
    ae_lip_score_destroy(other);
}

/* A bias in the model is taken off the lag. */
static void test_bias(void)
{
    ae_lip_model model = *ae_lip_model_untrained(1);
    model.bias_ms = 40.0f;
    ae_lip_score *self = make(&model);
    ae_lip_score_result result;
    fill(self, k_frames, 100.0);
    ae_lip_score_run(self, k_frames, k_frames, &result);
    CHECK_NEAR(result.lag_ms, 60.0, 0.5);
    ae_lip_score_destroy(self);
}

static void test_create(void)
{
    const ae_lip_model *model = ae_lip_model_trained(1);
    ae_lip_model broken = *model;
    broken.components = 0;
    const ae_lip_score_config bad[] = {{149, 130, model},
                                       {1000, 29, model},
                                       {1000, 130, NULL},
                                       {1000, 130, &broken},
                                       {65536, 130, model}};
    for (int i = 0; i < 5; i++) {
        ae_lip_score *self = NULL;
        CHECK(ae_lip_score_create(&self, &bad[i]) == AE_ERROR_ARGUMENT && self == NULL);
    }
    ae_lip_score_destroy(NULL);
}

int main(void)
{
    test_shifts();
    test_gaps_on_either_side();
    test_no_movement_no_peak();
    test_runs_share_nothing();
    test_halves_that_disagree();
    test_bias();
    test_create();
    return AE_TEST_RESULT();
}
