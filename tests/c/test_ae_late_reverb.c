/* Truth: a talker in a room of direct sound, early and late exponential tail, whose late power is
 * known because the test makes it. */
#include "ae_late_reverb.h"

#include "ae_math.h"
#include "ae_test.h"

enum { k_points = 257, k_delay = 5 };

static uint32_t seed = 1;
static float uniform(void)
{
    seed = seed * 1664525u + 1013904223u;
    return ((float)(seed >> 8) + 0.5f) / 16777216.0f;
}

static ae_late_reverb *make(void)
{
    const ae_late_reverb_config config = {k_points, {6, 16, 38, 80, 160}, 10.0f};
    ae_late_reverb *self = NULL;
    CHECK(ae_late_reverb_create(&self, &config) == AE_OK);
    return self;
}

static void test_create_checks_every_field(void)
{
    const ae_late_reverb_config bad[] = {{0, {0, 1, 2, 3, 4}, 10.0f},
                                         {257, {-1, 1, 2, 3, 4}, 10.0f},
                                         {257, {0, 1, 1, 3, 4}, 10.0f},
                                         {257, {0, 1, 2, 3, 258}, 10.0f},
                                         {257, {0, 1, 2, 3, 4}, NAN}};
    for (int i = 0; i < 5; i++) {
        ae_late_reverb *self = (ae_late_reverb *)&bad;
        CHECK(ae_late_reverb_create(&self, &bad[i]) == AE_ERROR_ARGUMENT && self == NULL);
    }
    ae_late_reverb_destroy(NULL);
}

/* Decay time and the tail's energy over that of the direct sound; 0: no room. */
typedef struct {
    float decay_s, tail_gain;
    float tail[k_points], recent[k_delay][k_points]; /* the last tails, newest first */
    int left, gap;
    float envelope[k_points];
} room;

/* Syllables of random length, colour and gap. What is older than 50 ms in the tail is late. */
static void speak(room *self, float *power, float *late)
{
    if (self->left + self->gap == 0) {
        self->left = 8 + (int)(20.0f * uniform());
        self->gap = 2 + (int)((uniform() < 0.2f ? 60.0f : 14.0f) * uniform());
        for (int k = 0; k < k_points; k++)
            self->envelope[k] =
                k % 8 == 0 ? ae_power_from_db(-20.0f * uniform()) : self->envelope[k - 1];
    }
    if (self->left > 0)
        self->left--;
    else
        self->gap--;
    const float decay = self->decay_s > 0.0f ? powf(10.0f, -0.06f / self->decay_s) : 0.0f;
    const float to_late = powf(decay, (float)k_delay);
    for (int k = 0; k < k_points; k++) {
        const float dry = self->left > 0 ? 1e-2f * self->envelope[k] : 0.0f;
        late[k] = to_late * self->recent[k_delay - 1][k];
        self->tail[k] = decay * self->tail[k] + self->tail_gain * (1.0f - decay) * dry;
        for (int i = k_delay - 1; i > 0; i--) self->recent[i][k] = self->recent[i - 1][k];
        self->recent[0][k] = self->tail[k];
        power[k] = dry + self->tail[k];
    }
}

/* Mean of the estimate over the mean of the truth (over the speech of the hop in a dry room), dB,
 * of the last half of the time. */
static float run(ae_late_reverb *self, room *where, float noise_power, int hops)
{
    static float power[k_points], noise[k_points], late[k_points], reverb[k_points];
    double estimate = 0.0, truth = 0.0, speech = 0.0;
    ae_fill(noise, noise_power, k_points);
    for (int t = 0; t < hops; t++) {
        speak(where, power, late);
        for (int k = 0; k < k_points; k++) power[k] -= noise_power * logf(uniform());
        ae_late_reverb_update(self, power, noise, 1.0f, reverb);
        for (int k = 0; k < k_points && t > hops / 2; k++) {
            estimate += (double)reverb[k];
            truth += (double)late[k];
            speech += (double)power[k];
        }
    }
    return (float)(10.0 * log10(estimate / (where->decay_s > 0.0f ? truth : speech)));
}

static void test_late_power_is_found(void)
{
    const float rooms[][2] = {
        {0.45f, 3.0f}, {0.5f, 1.0f}, {0.5f, 3.0f}, {0.8f, 3.0f}, {1.0f, 8.0f}};
    for (int i = 0; i < 5; i++) {
        static room where;
        where = (room){.decay_s = rooms[i][0], .tail_gain = rooms[i][1]};
        ae_late_reverb *self = make();
        CHECK_NEAR(run(self, &where, 1e-9f, 1000), 2.0, 4.0); /* 2 dB more on purpose */
        CHECK_NEAR(ae_late_reverb_decay_s(self) / where.decay_s, 1.0, 0.3);
        ae_late_reverb_destroy(self);
    }
}

static void test_engages_within_a_second_and_a_half(void)
{
    static room where;
    where = (room){.decay_s = 0.7f, .tail_gain = 4.0f};
    ae_late_reverb *self = make();
    CHECK(run(self, &where, 1e-9f, 150) > -3.0f);
    ae_late_reverb_destroy(self);
}

static void test_dry_and_near_speech_is_left_alone(void)
{
    static room where;
    ae_late_reverb *self = make();
    where = (room){0};
    CHECK(run(self, &where, 1e-9f, 1000) < -20.0f);
    CHECK(ae_late_reverb_decay_s(self) == 0.0f);
    ae_late_reverb_reset(self);
    where = (room){.decay_s = 0.5f, .tail_gain = 0.03f}; /* a hand's breadth from the mouth */
    CHECK(run(self, &where, 1e-9f, 1000) < 3.0f);
    ae_late_reverb_destroy(self);
}

static void test_noise_is_no_room(void)
{
    static room where;
    ae_late_reverb *self = make();
    where = (room){0};
    CHECK(run(self, &where, 3e-4f, 1000) < -15.0f); /* dry speech, 10 dB signal to noise */
    ae_late_reverb_reset(self);
    where = (room){.decay_s = 0.6f, .tail_gain = 3.0f};
    CHECK_NEAR(run(self, &where, 3e-4f, 1000), 2.0, 4.0);
    static float power[k_points], noise[k_points], reverb[k_points];
    ae_late_reverb_reset(self);
    ae_fill(noise, 1e-3f, k_points);
    for (int t = 0; t < 500; t++) {
        for (int k = 0; k < k_points; k++) power[k] = -1e-3f * logf(uniform());
        ae_late_reverb_update(self, power, noise, 1.0f, reverb);
        for (int k = 0; k < k_points; k++) CHECK(reverb[k] < 1e-2f * noise[k]);
    }
    ae_late_reverb_destroy(self);
}

/* Noise that comes from silence is no fall, an exponential decay of 6 dB in 50 ms is one. */
static void test_falls_are_told_from_noise(void)
{
    static float power[k_points], noise[k_points], reverb[k_points];
    ae_late_reverb *self = make();
    ae_fill(noise, 1e-9f, k_points);
    float sum = 0.0f;
    for (int t = 0; t < 200; t++) {
        for (int k = 0; k < k_points; k++) power[k] = -1e-3f * logf(uniform());
        ae_late_reverb_update(self, power, noise, 1.0f, reverb);
        sum += ae_late_reverb_fall(self) / 200.0f;
    }
    CHECK(sum < 0.05f);
    for (int t = 0; t < 30; t++) {
        ae_fill(power, 1e-3f * powf(10.0f, -0.12f * (float)t), k_points);
        ae_late_reverb_update(self, power, noise, 1.0f, reverb);
        CHECK(t < 10 || ae_late_reverb_fall(self) == 1.0f);
    }
    ae_late_reverb_destroy(self);
}

static void test_strength_scales(void)
{
    static room where, same;
    static float power[k_points], noise[k_points], late[k_points], full[k_points], part[k_points];
    ae_late_reverb *self = make(), *other = make();
    where = same = (room){.decay_s = 0.6f, .tail_gain = 3.0f};
    for (int t = 0; t < 600; t++) {
        speak(&where, power, late);
        ae_late_reverb_update(self, power, noise, 1.0f, full);
        ae_late_reverb_update(other, power, noise, 0.25f, part);
        for (int k = 0; k < k_points; k++) CHECK_NEAR(part[k], 0.25f * full[k], 1e-9);
    }
    ae_late_reverb_destroy(self);
    ae_late_reverb_destroy(other);
}

static void test_bad_weather(void)
{
    const float weather[] = {NAN, INFINITY, 3e38f, 1e-40f, 0.0f, 4096.0f};
    static float power[k_points], noise[k_points], reverb[k_points];
    static room where;
    for (int i = 0; i < 6; i++) {
        ae_late_reverb *self = make();
        where = (room){.decay_s = 0.5f, .tail_gain = 2.0f};
        const float before_db = run(self, &where, 1e-9f, 600);
        ae_fill(noise, 1e-9f, k_points);
        ae_fill(power, weather[i], k_points);
        for (int t = 0; t < 30; t++) {
            ae_late_reverb_update(self, power, noise, 1.0f, reverb);
            for (int k = 0; k < k_points; k++) CHECK(reverb[k] >= 0.0f && reverb[k] < 1e4f);
        }
        ae_fill(power, 0.0f, k_points);
        for (int t = 0; t < 10 && i < 5; t++)
            ae_late_reverb_update(self, power, noise, 1.0f, reverb);
        for (int k = 0; k < k_points && i < 5; k++) CHECK(reverb[k] < 1e-6f);
        CHECK_NEAR(run(self, &where, 1e-9f, i < 5 ? 600 : 2000), before_db, 3.0);
        ae_late_reverb_destroy(self);
    }
}

static void test_reset_is_new_and_nothing_is_allocated(void)
{
    ae_late_reverb *self = make(), *fresh = make();
    static room where;
    const uint64_t allocations = ae_allocation_count();
    run(self, &where, 1e-3f, 300);
    ae_late_reverb_reset(self);
    const uint32_t begin = seed;
    where = (room){.decay_s = 0.7f, .tail_gain = 2.0f};
    const float again = run(self, &where, 1e-9f, 500);
    seed = begin;
    where = (room){.decay_s = 0.7f, .tail_gain = 2.0f};
    CHECK(again == run(fresh, &where, 1e-9f, 500));
    CHECK(ae_late_reverb_decay_s(self) == ae_late_reverb_decay_s(fresh));
    CHECK(ae_allocation_count() == allocations);
    ae_late_reverb_destroy(self);
    ae_late_reverb_destroy(fresh);
}

int main(void)
{
    test_create_checks_every_field();
    test_late_power_is_found();
    test_engages_within_a_second_and_a_half();
    test_dry_and_near_speech_is_left_alone();
    test_noise_is_no_room();
    test_falls_are_told_from_noise();
    test_strength_scales();
    test_bad_weather();
    test_reset_is_new_and_nothing_is_allocated();
    return AE_TEST_RESULT();
}
