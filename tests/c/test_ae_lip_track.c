/* Truths: a straight line is tracked with its slope; a step is found by its third estimate and not
 * by fewer; one wild estimate changes nothing. */
#include <math.h>

#include "ae_lip_track.h"
#include "ae_math.h"
#include "ae_test.h"

static double feed(ae_lip_track *track, double from_s, double to_s, double offset_ms,
                   double slope_ms_per_s, double noise_ms)
{
    uint32_t seed = 11;
    int steps = 0;
    for (double t = from_s; t < to_s; t += 1.0)
        steps += ae_lip_track_update(
            track, t, offset_ms + slope_ms_per_s * t + noise_ms * (double)ae_random(&seed), 0.9);
    return steps;
}

static void test_constant_and_lines(void)
{
    static const double slopes[] = {0.0, 0.1, 5.0, -15.0};
    for (int i = 0; i < 4; i++) {
        ae_lip_track track;
        ae_lip_track_reset(&track);
        CHECK(isnan(ae_lip_track_drift(&track)));
        feed(&track, 0.0, 9.0, 120.0, slopes[i], 10.0);
        CHECK(isnan(ae_lip_track_drift(&track))); /* 8 s: too soon */
        CHECK(feed(&track, 9.0, 40.0, 120.0, slopes[i], 10.0) == 0);
        CHECK_NEAR(ae_lip_track_drift(&track), slopes[i], 0.5);
        CHECK_NEAR(track.offset_ms, 120.0 + 39.0 * slopes[i], 10.0);
    }
}

static void test_a_step_is_found(void)
{
    ae_lip_track track;
    ae_lip_track_reset(&track);
    feed(&track, 0.0, 20.0, 0.0, 0.0, 5.0);
    CHECK(ae_lip_track_update(&track, 20.0, 205.0, 0.9) == 0);
    CHECK(ae_lip_track_update(&track, 21.0, 195.0, 0.9) == 0);
    CHECK_NEAR(track.offset_ms, 0.0, 10.0);
    CHECK(ae_lip_track_update(&track, 22.0, 200.0, 0.9) == 1);
    CHECK_NEAR(track.offset_ms, 200.0, 1.0);
    CHECK(isnan(ae_lip_track_drift(&track)));
    CHECK(feed(&track, 23.0, 60.0, 200.0, 0.0, 5.0) == 0);
    CHECK_NEAR(ae_lip_track_drift(&track), 0.0, 0.5);
}

/* Ten minutes without a face: the slope of before says nothing of now, and the same offset is no
 * step. */
static void test_after_a_long_pause(void)
{
    ae_lip_track track;
    ae_lip_track_reset(&track);
    feed(&track, 0.0, 30.0, 100.0, -0.5, 0.0);
    CHECK(feed(&track, 50.0, 60.0, 100.0, -0.5, 0.0) == 0);
    CHECK_NEAR(ae_lip_track_drift(&track), -0.5, 0.1); /* 20 s are bridged */
    CHECK(feed(&track, 660.0, 690.0, 80.0, 0.0, 0.0) == 0);
    CHECK_NEAR(track.offset_ms, 80.0, 1.0);
    CHECK_NEAR(ae_lip_track_drift(&track), 0.0, 0.1);
}

static void test_wild_and_unsure_estimates(void)
{
    ae_lip_track track;
    ae_lip_track_reset(&track);
    CHECK(ae_lip_track_update(&track, 0.0, 700.0, 0.49) == 0 && track.measured == 0);
    CHECK(ae_lip_track_update(&track, 0.0, NAN, 0.9) == 0 && track.measured == 0);
    CHECK(ae_lip_track_update(&track, 0.0, 10.0, NAN) == 0 && track.measured == 0);
    feed(&track, 0.0, 20.0, 10.0, 0.0, 2.0);
    for (int i = 0; i < 12; i++) { /* far off, but never three that agree */
        CHECK(ae_lip_track_update(&track, 20.0 + i, 300.0 + 150.0 * (i % 3), 0.9) == 0);
        CHECK(ae_lip_track_update(&track, 20.5 + i, -900.0, 0.4) == 0);
    }
    CHECK_NEAR(track.offset_ms, 10.0, 3.0);
    CHECK(ae_lip_track_update(&track, 40.0, 12.0, 1.0) == 0);
    CHECK(track.outside == 0);
}

int main(void)
{
    test_constant_and_lines();
    test_a_step_is_found();
    test_after_a_long_pause();
    test_wild_and_unsure_estimates();
    return AE_TEST_RESULT();
}
