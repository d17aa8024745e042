/* Truths: exponential decays of known slope, bare, as noise, and after syllables of speech. */
#include "ae_decay_time.h"

#include "ae_math.h"
#include "ae_test.h"

enum { k_bands = 4 };

static uint32_t seed = 1;
static float uniform(void)
{
    seed = seed * 1664525u + 1013904223u;
    return ((float)(seed >> 8) + 0.5f) / 16777216.0f;
}

static ae_decay_time *make(void)
{
    ae_decay_time *self = NULL;
    CHECK(ae_decay_time_create(&self, &(ae_decay_time_config){k_bands, 10.0f}) == AE_OK);
    return self;
}

static void hop(ae_decay_time *self, const float *powers)
{
    float level_db[k_bands], noise_db[k_bands];
    for (int b = 0; b < k_bands; b++) {
        level_db[b] = ae_db_from_power(powers[b]);
        noise_db[b] = -90.0f;
    }
    ae_decay_time_update(self, level_db, noise_db);
}

/* Decay of one hop of 10 ms. */
static float decay(float decay_s) { return powf(10.0f, -0.06f / decay_s); }

static void test_create_checks_every_field(void)
{
    const ae_decay_time_config bad[] = {{0, 10.0f}, {9, 10.0f}, {4, 4.0f}, {4, 21.0f}, {4, NAN}};
    for (int i = 0; i < 5; i++) {
        ae_decay_time *self = (ae_decay_time *)&bad;
        CHECK(ae_decay_time_create(&self, &bad[i]) == AE_ERROR_ARGUMENT && self == NULL);
    }
    ae_decay_time_destroy(NULL);
}

/* Bursts of 300 ms that decay for 400 ms; texture: of how many noise bins a band is the mean, 0: a
 * smooth level. */
static void play_bursts(ae_decay_time *self, float decay_s, int texture, int hops)
{
    float power = 0.0f;
    for (int t = 0; t < hops; t++) {
        power = t % 70 < 30 ? 1e-2f : power * decay(decay_s);
        float powers[k_bands];
        for (int b = 0; b < k_bands; b++) {
            float sum = texture == 0 ? 1.0f : 0.0f;
            for (int i = 0; i < texture; i++) sum -= logf(uniform()) / (float)texture;
            powers[b] = power * sum;
        }
        hop(self, powers);
    }
}

static void test_decaying_noise(void)
{
    const float rooms_s[] = {0.3f, 0.4f, 0.5f, 0.7f, 0.85f, 1.0f};
    for (int i = 0; i < 6; i++)
        for (int texture = 0; texture <= 40; texture += 20) {
            ae_decay_time *self = make();
            play_bursts(self, rooms_s[i], texture, 1000);
            CHECK_NEAR(ae_decay_time_s(self) / rooms_s[i], 1.0, 0.25);
            ae_decay_time_destroy(self);
        }
}

/* Syllables of random length, level and gap in a room of direct sound and exponential tail. */
static void test_speech_in_rooms(void)
{
    const float rooms_s[] = {0.3f, 0.5f, 0.7f, 1.0f};
    for (int i = 0; i < 4; i++) {
        ae_decay_time *self = make();
        float dry[k_bands] = {0}, tail[k_bands] = {0}, powers[k_bands];
        int left = 0, gap = 0;
        for (int t = 0; t < 1500; t++) {
            if (left + gap == 0) {
                left = 8 + (int)(20.0f * uniform());
                gap = 2 + (int)((uniform() < 0.2f ? 60.0f : 14.0f) * uniform());
                for (int b = 0; b < k_bands; b++) dry[b] = ae_power_from_db(-20.0f * uniform());
            }
            if (left > 0)
                left--;
            else
                gap--;
            for (int b = 0; b < k_bands; b++) {
                const float now = left > 0 ? 1e-2f * dry[b] * (0.5f + uniform()) : 0.0f;
                tail[b] = decay(rooms_s[i]) * tail[b] + 0.2f * now;
                powers[b] = now + tail[b];
            }
            hop(self, powers);
        }
        CHECK_NEAR(ae_decay_time_s(self) / rooms_s[i], 1.0, 0.3);
        ae_decay_time_destroy(self);
    }
}

static void test_silent_until_enough_is_known(void)
{
    ae_decay_time *self = make();
    float powers[k_bands];
    CHECK(ae_decay_time_s(self) == 0.0f);
    ae_fill(powers, 1e-2f, k_bands);
    for (int t = 0; t < 2000; t++) hop(self, powers); /* no fall, no estimate */
    CHECK(ae_decay_time_s(self) == 0.0f);
    ae_fill(powers, 0.0f, k_bands);
    for (int t = 0; t < 2000; t++) hop(self, powers); /* falls below the noise */
    CHECK(ae_decay_time_s(self) == 0.0f);
    ae_decay_time_destroy(self);
}

static void test_reset_is_new_and_nothing_is_allocated(void)
{
    ae_decay_time *self = make(), *fresh = make();
    const uint64_t allocations = ae_allocation_count();
    const float levels[] = {0.0f, 3e38f, 1e-38f};
    for (int t = 0; t < 500; t++) {
        const float level = levels[t / 7 % 3];
        const float powers[k_bands] = {level, level, level, level};
        hop(self, powers);
        CHECK(ae_decay_time_s(self) >= 0.0f && ae_decay_time_s(self) < 10.0f);
    }
    ae_decay_time_reset(self);
    CHECK(ae_decay_time_s(self) == 0.0f);
    play_bursts(self, 0.6f, 0, 700);
    play_bursts(fresh, 0.6f, 0, 700);
    CHECK(ae_decay_time_s(self) == ae_decay_time_s(fresh) && ae_decay_time_s(self) > 0.0f);
    CHECK(ae_allocation_count() == allocations);
    ae_decay_time_destroy(self);
    ae_decay_time_destroy(fresh);
}

int main(void)
{
    test_create_checks_every_field();
    test_decaying_noise();
    test_speech_in_rooms();
    test_silent_until_enough_is_known();
    test_reset_is_new_and_nothing_is_allocated();
    return AE_TEST_RESULT();
}
