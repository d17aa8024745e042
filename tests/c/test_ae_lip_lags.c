/* Truths: the weighted vector correlation of every lag summed directly in double, for the window
 * and for each half of its weight; a late copy; a lag between two frames of a continuous signal. */
#include <math.h>
#include <stdlib.h>

#include "ae_lip_lags.h"
#include "ae_math.h"
#include "ae_test.h"

static const double k_two_pi = 6.283185307179586;

enum { k_frames = 700, k_lag = 61, k_parts = 3 };

typedef struct {
    float mouth[k_parts][k_frames], audio[k_parts][k_frames], weight[k_frames], present[k_frames];
} window;

static void fill(window *w, uint32_t seed)
{
    for (int t = 0; t < k_frames; t++) {
        w->weight[t] = t % 97 < 20 ? 0.0f : 0.75f + 0.25f * ae_random(&seed);
        w->present[t] = t >= 300 && t < 330 ? 0.0f : 1.0f;
        for (int k = 0; k < k_parts; k++) {
            w->mouth[k][t] = 0.3f + ae_random(&seed);
            w->audio[k][t] = -0.2f + ae_random(&seed);
        }
    }
}

/* Frames whose weight counts: of the half 0 or 1, or -1: all. */
static int counts(const window *w, int t, int half)
{
    double whole = 0.0, sum = 0.0;
    for (int i = 0; i < k_frames; i++) {
        whole += (double)w->weight[i];
        if (i <= t) sum += (double)w->weight[i];
    }
    return half < 0 || (sum < 0.5 * whole) == (half == 0);
}

static double direct(const window *w, int lag, int half, double full)
{
    double share = 0.0, both = 0.0, mouth = 0.0, audio = 0.0;
    for (int t = 0; t < k_frames; t++) {
        if (t + lag < 0 || t + lag >= k_frames || !counts(w, t, half)) continue;
        const double weight = (double)w->weight[t] * (double)w->present[t + lag];
        share += weight;
        for (int k = 0; k < k_parts; k++) {
            const double q = (double)w->mouth[k][t], p = (double)w->audio[k][t + lag];
            both += weight * q * p;
            mouth += weight * q * q;
            audio += weight * p * p;
        }
    }
    return both / sqrt(mouth * audio) * sqrt(share / full);
}

static void run(ae_lip_lags *lags, const window *w, int frames, float full, float least)
{
    ae_lip_lags_begin(lags, w->weight, w->present, frames);
    for (int k = 0; k < k_parts; k++) ae_lip_lags_add(lags, w->mouth[k], w->audio[k]);
    ae_lip_lags_end(lags, full, least, 10);
}

static ae_lip_lags *make(void)
{
    ae_lip_lags *lags = NULL;
    CHECK(ae_lip_lags_create(&lags, 1000, k_lag) == AE_OK);
    return lags;
}

static void test_against_direct_sums(void)
{
    static window w;
    fill(&w, 5);
    ae_lip_lags *lags = make();
    run(lags, &w, k_frames, 600.0f, 20.0f);
    for (int lag = -30; lag <= 30; lag += 3) { /* of 20 ms: every second score */
        CHECK_NEAR(ae_lip_lags_scores(lags)[k_lag + 2 * lag], direct(&w, lag, -1, 600.0), 2e-5);
        for (int half = 0; half < 2; half++)
            CHECK_NEAR(ae_lip_lags_half(lags, half)[k_lag + 2 * lag], direct(&w, lag, half, 300.0),
                       2e-5);
    }
    ae_lip_lags_destroy(lags);
}

static int best_of(const float *scores)
{
    int best = 0;
    for (int i = 0; i <= 2 * k_lag; i++)
        if (scores[i] > scores[best]) best = i;
    return best - k_lag;
}

/* audio(t) = mouth(t - 13): late by 13 frames of 20 ms, a correlation of one there. */
static void test_a_late_copy(void)
{
    static window w;
    fill(&w, 9);
    float whole = 0.0f;
    for (int t = 0; t < k_frames; t++) {
        whole += w.weight[t];
        if (t >= 13)
            for (int k = 0; k < k_parts; k++) w.audio[k][t] = 5.0f * w.mouth[k][t - 13];
    }
    ae_lip_lags *lags = make();
    run(lags, &w, k_frames, whole, 20.0f);
    CHECK(best_of(ae_lip_lags_scores(lags)) == 26);
    for (int half = 0; half < 2; half++) CHECK(best_of(ae_lip_lags_half(lags, half)) == 26);
    CHECK_NEAR(ae_lip_lags_scores(lags)[k_lag + 26], direct(&w, 13, -1, (double)whole), 1e-5);
    CHECK(ae_lip_lags_scores(lags)[k_lag + 26] > 0.95f);
    ae_lip_lags_destroy(lags);
}

/* A continuous signal, late by 7 steps of 10 ms: between two of its frames. */
static void test_between_frames(void)
{
    static window w;
    for (int t = 0; t < k_frames; t++) {
        w.weight[t] = w.present[t] = 1.0f;
        for (int k = 0; k < k_parts; k++) {
            w.mouth[k][t] = w.audio[k][t] = 0.0f;
            for (int i = 0; i < 20; i++) {
                const double hz = 0.5 + 0.57 * i, phase = 2.4 * i * i + k;
                w.mouth[k][t] += (float)sin(k_two_pi * hz * 0.02 * t + phase);
                w.audio[k][t] += (float)sin(k_two_pi * hz * (0.02 * t - 0.07) + phase);
            }
        }
    }
    ae_lip_lags *lags = make();
    run(lags, &w, k_frames, k_frames, 20.0f);
    CHECK(best_of(ae_lip_lags_scores(lags)) == 7);
    CHECK(ae_lip_lags_scores(lags)[k_lag + 7] > 0.99f);
    ae_lip_lags_destroy(lags);
}

static void test_too_little_scores_nothing(void)
{
    static window w;
    fill(&w, 2);
    ae_lip_lags *lags = make();
    run(lags, &w, k_frames, 700.0f, 1000.0f); /* more weight wanted than there is */
    for (int i = 0; i <= 2 * k_lag; i++) CHECK(ae_lip_lags_scores(lags)[i] == 0.0f);
    run(lags, &w, 35, 35.0f, 0.1f); /* 30 frames apart leaves 5 of 35, 10 are wanted */
    CHECK(ae_lip_lags_scores(lags)[0] == 0.0f && ae_lip_lags_scores(lags)[k_lag] != 0.0f);
    for (int t = 0; t < k_frames; t++)
        for (int k = 0; k < k_parts; k++) w.mouth[k][t] = 0.0f; /* a still mouth */
    run(lags, &w, k_frames, 700.0f, 20.0f);
    for (int i = 0; i <= 2 * k_lag; i++) CHECK(fabsf(ae_lip_lags_scores(lags)[i]) < 1e-3f);
    ae_lip_lags_destroy(lags);
}

static void test_create(void)
{
    ae_lip_lags *lags = NULL;
    CHECK(ae_lip_lags_create(&lags, 0, 10) == AE_ERROR_ARGUMENT && lags == NULL);
    CHECK(ae_lip_lags_create(&lags, 100, 0) == AE_ERROR_ARGUMENT);
    CHECK(ae_lip_lags_create(&lags, 40000, 10) == AE_ERROR_ARGUMENT); /* twice that is too long */
    CHECK(ae_lip_lags_create(&lags, 65536, 10) == AE_ERROR_ARGUMENT && lags == NULL);
    ae_lip_lags_destroy(NULL);
}

int main(void)
{
    test_against_direct_sums();
    test_a_late_copy();
    test_between_frames();
    test_too_little_scores_nothing();
    test_create();
    return AE_TEST_RESULT();
}
