/* Truths: straight lines survive any frame rate; the percentile of a sorted list; holes, cuts and
 * ends by the header's rules. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ae_lip_mouth.h"
#include "ae_math.h"
#include "ae_test.h"

enum { k_frames = 400 };

static float rows[k_frames][AE_LIP_MOUTH_ROW], weights[k_frames];

static ae_lip_mouth *make(int signals, int motion)
{
    const ae_lip_mouth_config config = {signals, motion, k_frames};
    ae_lip_mouth *self = NULL;
    CHECK(ae_lip_mouth_create(&self, &config) == AE_OK);
    return self;
}

static void grid(ae_lip_mouth *self, double first_s, int frames)
{
    ae_lip_mouth_grid(self, first_s, frames, rows[0], weights);
}

static void put(ae_lip_mouth *self, double time_s, float value)
{
    const float values[2] = {value, 2.0f * value};
    ae_lip_mouth_push(self, time_s, values);
}

/* value = time at jittered pictures: the grid reads its own time. */
static void test_lines_at_any_frame_rate(void)
{
    static const double rates[] = {7.0, 24.0, 29.97, 60.0, 120.0};
    for (int r = 0; r < 5; r++) {
        ae_lip_mouth *self = make(2, -1);
        uint32_t seed = 5;
        for (double t = 0.0; t < 6.0; t += (1.0 + 0.3 * (double)ae_random(&seed)) / rates[r])
            put(self, 100.0 + t, (float)t);
        grid(self, 101.0, k_frames);
        for (int i = 0; i < k_frames; i++) {
            CHECK(weights[i] == 1.0f);
            CHECK_NEAR(rows[i][0], 1.0 + 0.01 * i, 1e-5);
            CHECK_NEAR(rows[i][1], 2.0 + 0.02 * i, 2e-5);
            CHECK(rows[i][2] == 0.0f);
        }
        ae_lip_mouth_destroy(self);
    }
}

static void test_holes_and_ends(void)
{
    ae_lip_mouth *self = make(1, -1);
    static const double times[] = {0.5, 0.7, 0.9, 1.0, 1.5, 1.6};
    for (int i = 0; i < 6; i++) put(self, times[i], (float)times[i]);
    put(self, 1.7, NAN);
    put(self, 3.0, NAN);
    grid(self, 0.0, 300);
    for (int i = 0; i < 300; i++) {
        const double t = 0.01 * i;
        const int hole = t > 1.005 && t < 1.495; /* 0.5 s between faces; 0.2 s is none */
        const int outside = t < 0.395 || t > 1.705;
        CHECK(weights[i] == (hole || outside ? 0.0f : 1.0f));
        CHECK_NEAR(rows[i][0], t < 0.5 ? 0.5 : t > 1.6 ? 1.6 : t, 1e-5);
    }
    ae_lip_mouth_destroy(self);
}

/* No face: any value of the picture that is not finite, or absurd. */
static void test_what_counts_as_no_face(void)
{
    static const float bad[] = {NAN, INFINITY, -INFINITY, 3e38f};
    for (int b = 0; b < 4; b++) {
        ae_lip_mouth *self = make(2, -1);
        for (int i = 0; i < 50; i++) {
            const float values[2] = {1.0f, i == 10 || i >= 25 ? bad[b] : 1.0f};
            ae_lip_mouth_push(self, 0.04 * i, values);
        }
        grid(self, 0.0, 150);
        CHECK(weights[40] == 1.0f); /* one lost picture is bridged */
        CHECK(weights[96 + 10] == 1.0f && weights[96 + 11] == 0.0f);
        for (int i = 0; i < 150; i++) CHECK_NEAR(rows[i][1], 1.0, 1e-6);
        ae_lip_mouth_destroy(self);
    }
}

/* Two shots that tilt by 0.1 and by 0.3 a second: no step is left between them. */
static void test_a_cut(void)
{
    ae_lip_mouth *self = make(2, 1);
    for (int i = 0; i < 50; i++) {
        const float t = 0.04f * (float)i;
        const float values[2] = {i < 25 ? 1.0f + 0.1f * t : 3.0f + 0.3f * t,
                                 i == 25 ? 90.0f : 2.0f};
        if (i == 25) ae_lip_mouth_cut(self);
        ae_lip_mouth_push(self, 0.04 * i, values);
    }
    grid(self, 0.0, 196); /* rows 0 .. 96 and 100 .. 195 lie in a shot, 97 .. 99 beside the cut */
    double sums[2] = {0.0, 0.0};
    for (int i = 0; i < 196; i++) {
        const int shot = i >= 98;
        sums[shot] += (double)rows[i][0];
        CHECK_NEAR(rows[i][1], 0.0, 1e-6); /* the jump at the cut is no movement */
        CHECK(weights[i] == 1.0f);
        if (i > 0 && i != 97 && i != 98 && i != 99 && i != 100)
            CHECK_NEAR(rows[i][0] - rows[i - 1][0], shot ? 0.003 : 0.001, 1e-5);
    }
    CHECK(rows[97][0] == rows[96][0] && rows[98][0] == rows[100][0]);
    CHECK_NEAR(sums[0], 0.0, 1e-4);
    CHECK_NEAR(sums[1], 0.0, 1e-4);
    ae_lip_mouth_destroy(self);
}

/* motion = time of the picture: read midway, half a picture early. */
static void test_motion_is_stamped_midway(void)
{
    ae_lip_mouth *self = make(2, 1);
    for (int i = 0; i < 50; i++) {
        const float values[2] = {0.0f, 0.04f * (float)i};
        ae_lip_mouth_push(self, 0.04 * i, values);
    }
    grid(self, 0.5, 100);
    for (int i = 0; i < 95; i++) /* the largest 1 % is clipped */
        CHECK_NEAR(rows[i][1], 0.5 + 0.01 * i + 0.02, 1e-4);
    ae_lip_mouth_destroy(self);
}

static int ascending(const void *a, const void *b)
{
    const float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

static void test_motion_is_clipped_at_its_percentile(void)
{
    static const int counts[] = {2, 50, 99, 102, 250, 399};
    for (int c = 0; c < 6; c++) {
        ae_lip_mouth *self = make(2, 1);
        float sorted[399];
        uint32_t seed = 17;
        for (int i = 0; i < counts[c]; i++) {
            sorted[i] = 1.0f + ae_random(&seed);
            const float values[2] = {0.0f, sorted[i]};
            ae_lip_mouth_push(self, 0.01 * i, values);
        }
        qsort(sorted, (size_t)counts[c], sizeof *sorted, ascending);
        const double place = 0.99 * (counts[c] - 1);
        const int below = (int)place;
        const double low = (double)sorted[below], high = (double)sorted[below + 1];
        grid(self, 0.005, counts[c] - 1); /* where the differences are stamped */
        float largest = 0.0f;
        for (int i = 0; i < counts[c] - 1; i++) largest = ae_max(largest, rows[i][1]);
        CHECK_NEAR(largest, low + (place - below) * (high - low), 1e-5);
        ae_lip_mouth_destroy(self);
    }
}

/* What comes after the window's end does not change it; a step back starts anew; the ring is long.
 */
static void test_later_samples_and_restarts(void)
{
    ae_lip_mouth *self = make(1, -1);
    float first[100], again[100];
    for (int i = 0; i <= 50; i++) put(self, 0.03 * i, sinf((float)i));
    grid(self, 0.5, 100);
    for (int i = 0; i < 100; i++) first[i] = rows[i][0];
    const uint64_t allocations = ae_allocation_count();
    for (int i = 51; i < 2000; i++) put(self, 0.03 * i, sinf((float)i));
    grid(self, 0.5, 100);
    for (int i = 0; i < 100; i++) again[i] = rows[i][0];
    CHECK(memcmp(first, again, sizeof first) == 0);
    CHECK(ae_lip_mouth_samples(self) == 2000 && ae_lip_mouth_first_s(self) == 0.0);
    const float value = 1.0f;
    CHECK(ae_lip_mouth_push(self, 1.0, &value) == 1);
    CHECK(ae_lip_mouth_samples(self) == 1 && ae_lip_mouth_newest_s(self) == 1.0);
    CHECK(ae_lip_mouth_push(self, 1.04, &value) == 0);
    for (int i = 0; i < 40000; i++) put(self, 2.0 + 0.005 * i, 7.0f);
    grid(self, 200.0, 100);
    CHECK(weights[99] == 1.0f && rows[99][0] == 7.0f);
    grid(self, 10.0, 100); /* long gone */
    CHECK(weights[99] == 0.0f);
    CHECK(ae_allocation_count() == allocations);
    ae_lip_mouth_reset(self);
    CHECK(ae_lip_mouth_samples(self) == 0);
    grid(self, 0.0, 100);
    CHECK(weights[0] == 0.0f && rows[0][0] == 0.0f);
    ae_lip_mouth_destroy(self);
}

/* Stamps that jitter by more than a picture lasts: those out of order are left out, no more. */
static void test_samples_out_of_order(void)
{
    ae_lip_mouth *self = make(1, -1);
    const float value = 1.0f, other = 9.0f;
    CHECK(ae_lip_mouth_push(self, 5.0, &value) == 0 && ae_lip_mouth_push(self, 5.1, &value) == 0);
    CHECK(ae_lip_mouth_push(self, 5.1, &other) == 0 && ae_lip_mouth_push(self, 5.06, &other) == 0);
    CHECK(ae_lip_mouth_push(self, 4.15, &other) == 0);
    CHECK(ae_lip_mouth_samples(self) == 2 && ae_lip_mouth_newest_s(self) == 5.1);
    CHECK(ae_lip_mouth_push(self, 5.14, &value) == 0 && ae_lip_mouth_samples(self) == 3);
    grid(self, 5.0, 15);
    for (int i = 0; i < 15; i++) CHECK(rows[i][0] == 1.0f && weights[i] == 1.0f);
    CHECK(ae_lip_mouth_push(self, 4.1, &value) == 1 && ae_lip_mouth_samples(self) == 1);
    ae_lip_mouth_destroy(self);
}

static void test_create(void)
{
    const ae_lip_mouth_config bad[] = {
        {0, -1, 10}, {9, -1, 10}, {2, 2, 10}, {2, -2, 10}, {2, 0, 0}};
    for (int i = 0; i < 5; i++) {
        ae_lip_mouth *self = NULL;
        CHECK(ae_lip_mouth_create(&self, &bad[i]) == AE_ERROR_ARGUMENT && self == NULL);
    }
    ae_lip_mouth_destroy(NULL);
}

int main(void)
{
    test_lines_at_any_frame_rate();
    test_holes_and_ends();
    test_what_counts_as_no_face();
    test_a_cut();
    test_motion_is_stamped_midway();
    test_motion_is_clipped_at_its_percentile();
    test_later_samples_and_restarts();
    test_samples_out_of_order();
    test_create();
    return AE_TEST_RESULT();
}
