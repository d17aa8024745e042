/* Truths: the logistic function's closed form; counted seconds of a made window; each reason in its
 * order. */
#include <math.h>

#include "ae_lip_audio.h"
#include "ae_lip_confidence.h"
#include "ae_test.h"

enum { k_frames = 1000 };

static float rows[k_frames][AE_LIP_ROW], weights[k_frames];

/* Levels of `quiet` and, for every frame with t % 10 >= 3, `loud`. */
static void fill(float quiet, float loud)
{
    for (int t = 0; t < k_frames; t++) {
        rows[t][AE_LIP_LEVEL] = t % 10 < 3 ? quiet : loud;
        rows[t][AE_LIP_PRESENT] = 1.0f;
        weights[t] = t < 800 ? 1.0f : 0.0f;
    }
}

static ae_lip_presence look(void)
{
    ae_lip_presence presence;
    ae_lip_presence_of(rows[0], weights, k_frames, &presence);
    return presence;
}

static void test_presence(void)
{
    fill(-50.2f, -20.0f);
    ae_lip_presence p = look();
    CHECK_NEAR(p.span_s, 10.0, 1e-9);
    CHECK_NEAR(p.face_s, 8.0, 1e-9);
    CHECK_NEAR(p.voiced_s, 0.7 * 8.0, 1e-9);
    CHECK_NEAR(p.loud_s, 8.0, 1e-9);
    CHECK_NEAR(p.floor_dbfs, -50.2, 1.0);
    for (int t = 0; t < 400; t++) rows[t][AE_LIP_PRESENT] = 0.0f;
    p = look();
    CHECK_NEAR(p.voiced_s, 0.7 * 4.0, 1e-9);
    fill(-70.0f, -62.0f); /* moves, but is nothing one hears */
    CHECK(look().voiced_s == 0.0 && look().loud_s == 0.0);
    fill(-30.0f, -28.0f); /* loud and steady: a fan */
    CHECK(look().voiced_s == 0.0 && look().loud_s > 7.9);
    fill(-500.0f, 900.0f);
    CHECK(isfinite(look().floor_dbfs));
    for (int t = 0; t < k_frames; t++) rows[t][AE_LIP_PRESENT] = 0.0f;
    CHECK(isfinite(look().floor_dbfs) && look().voiced_s == 0.0);
}

static void test_confidence(void)
{
    static const float coefficients[AE_LIP_CUES + 1] = {-1.0f, 2.0f, 3.0f, 0.5f, 0.25f, -4.0f};
    const double cues[AE_LIP_CUES] = {0.4, 0.3, 2.0, 0.9, 0.7};
    const double sum = -1.0 + 0.8 + 0.9 + 1.0 + 0.225 - 2.8;
    CHECK_NEAR(ae_lip_confidence(coefficients, cues), 1.0 / (1.0 + exp(-sum)), 1e-6);
    const double broken[AE_LIP_CUES] = {NAN, 0.3, 8.0, 5.0, 6.0};
    CHECK(ae_lip_confidence(coefficients, broken) == 0.0);
    const double low[AE_LIP_CUES] = {-1e300}, high[AE_LIP_CUES] = {1e300};
    CHECK(ae_lip_confidence(coefficients, low) == 0.0);
    CHECK_NEAR(ae_lip_confidence(coefficients, high), 1.0, 1e-9);
    CHECK_NEAR(ae_lip_log_seconds(10.0), log(10.0), 1e-12);
    CHECK(ae_lip_log_seconds(0.0) == log(0.5) && ae_lip_log_seconds(NAN) == log(0.5));
}

static void test_reasons_in_order(void)
{
    ae_lip_presence p = {.span_s = 2.0, .face_s = 0.0, .voiced_s = 0.0};
    CHECK(ae_lip_reason_for(&p, 1.0, 1.0, 1.0) == AE_LIP_TOO_SHORT);
    p.span_s = 10.0;
    CHECK(ae_lip_reason_for(&p, 1.0, 1.0, 1.0) == AE_LIP_NO_FACE);
    p.face_s = 9.0;
    CHECK(ae_lip_reason_for(&p, 1.0, 1.0, 1.0) == AE_LIP_NO_SPEECH);
    p.loud_s = 8.0;
    CHECK(ae_lip_reason_for(&p, 0.9, 1.0, 1.0) == AE_LIP_ANSWER); /* under music */
    CHECK(ae_lip_reason_for(&p, 0.4, 1.0, 1.0) == AE_LIP_NO_SPEECH);
    p.voiced_s = 8.0;
    CHECK(ae_lip_reason_for(&p, 1.0, 1.0, 0.0) == AE_LIP_FROZEN);
    CHECK(ae_lip_reason_for(&p, 1.0, 1.0, 0.0022) == AE_LIP_FROZEN); /* a tracked still */
    CHECK(ae_lip_reason_for(&p, 1.0, 1.0, 0.037) == AE_LIP_ANSWER);
    CHECK(ae_lip_reason_for(&p, 0.5, 0.1, 1.0) == AE_LIP_ANSWER);
    CHECK(ae_lip_reason_for(&p, 0.4, 0.1, 1.0) == AE_LIP_DUBBED);
    CHECK(ae_lip_reason_for(&p, 0.4, 0.9, 1.0) == AE_LIP_AMBIGUOUS);
    p.voiced_s = 2.0; /* too little speech to say that it is another's */
    CHECK(ae_lip_reason_for(&p, 0.4, 0.1, 1.0) == AE_LIP_AMBIGUOUS);
    CHECK(ae_lip_lacks(&p) == AE_LIP_ANSWER);
}

int main(void)
{
    test_presence();
    test_confidence();
    test_reasons_in_order();
    return AE_TEST_RESULT();
}
