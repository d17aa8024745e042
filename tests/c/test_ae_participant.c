/* Truths: without levelling a participant's signal is what he sent; weights are ramps that end
 * where the next one begins. */
#include "ae_participant.h"

#include "ae_math.h"
#include "ae_test.h"

enum { k_rate = 48000, k_block = 480 };

static const ae_participant_room k_room = {.sample_rate_hz = k_rate,
                                           .channels = 2,
                                           .level_voices = 0,
                                           .target_lufs = -18.0f,
                                           .music_lufs = -27.0f,
                                           .ceiling_dbtp = -1.0f};

static ae_participant *make(const ae_participant_room *room, int role)
{
    ae_participant *self;
    const ae_participant_config config = {.role = role};
    CHECK(ae_participant_create(&self, &config, room) == AE_OK);
    return self;
}

static void fill(float *in, float size, uint32_t seed)
{
    for (int n = 0; n < 2 * k_block; n++) in[n] = size * ae_random(&seed);
}

/* One block with the automixer's answer given by hand. */
static void run(ae_participant *self, const float *in, float gain)
{
    ae_participant_take(self, in, -1.0f);
    if (self->delivers) self->mic.gain = gain;
    ae_participant_weigh(self, 1.0f);
}

static void test_weight_is_a_ramp(void)
{
    float in[2 * k_block], sum[2][k_block] = {{0}}, without[2][k_block];
    float *const rows[] = {sum[0], sum[1]}, *const to[] = {without[0], without[1]};
    ae_participant *self = make(&k_room, AE_ROLE_VOICE);
    fill(in, 0.5f, 1);
    run(self, in, 1.0f);
    ae_participant_add_to(self, rows);
    for (int n = 0; n < k_block; n++) {
        const float weight = fminf(1.0f, (float)(n + 1) / (k_block / 4));
        CHECK_NEAR(sum[0][n], in[n] * weight, 1e-6);
        CHECK_NEAR(sum[1][n], in[k_block + n] * weight, 1e-6);
    }
    ae_participant_take_from(self, rows, to);
    for (int n = 0; n < k_block; n++) CHECK_NEAR(without[0][n], 0.0, 1e-7);
    run(self, in, 1.0f);
    CHECK(self->previous_weight == 1.0f && self->weight == 1.0f);
    ae_zero(sum[0], k_block);
    ae_zero(sum[1], k_block);
    ae_participant_add_to(self, rows);
    CHECK(memcmp(sum, in, sizeof in) == 0);
    ae_zero(sum[0], k_block);
    ae_zero(sum[1], k_block);
    run(self, in, 0.5f); /* from open on, over the whole block */
    ae_participant_add_to(self, rows);
    for (int n = 0; n < k_block; n++)
        CHECK_NEAR(sum[0][n], in[n] * (1.0f - 0.5f * (float)(n + 1) / k_block), 1e-6);
    ae_participant_destroy(self);
}

/* A gap begins with the sample that was heard last, and has faded when it ends. */
static void test_gap_is_faded(void)
{
    float in[2 * k_block];
    ae_participant *self = make(&k_room, AE_ROLE_VOICE);
    fill(in, 0.5f, 2);
    run(self, in, 1.0f);
    run(self, NULL, 1.0f);
    CHECK(self->previous_weight == 1.0f && self->weight == 0.0f);
    for (int n = 0; n < k_block; n++) CHECK(self->signal[1][n] == in[2 * k_block - 1 - n]);
    CHECK(ae_participant_is_heard(self));
    run(self, NULL, 1.0f);
    CHECK(!ae_participant_is_heard(self));
    run(self, in, 1.0f);
    CHECK(self->previous_weight == 0.0f && self->weight == 1.0f);
    self->leaving = 1;
    run(self, in, 1.0f); /* he may still deliver */
    CHECK(self->weight == 0.0f && self->signal[0][0] == in[k_block - 1]);
    ae_participant_destroy(self);
}

static void test_mute_fades_his_own_sound(void)
{
    float in[2 * k_block], next[2 * k_block];
    ae_participant *self = make(&k_room, AE_ROLE_VOICE);
    fill(in, 0.5f, 3);
    fill(next, 0.5f, 4);
    run(self, in, 1.0f);
    self->muted = 1;
    run(self, next, 1.0f);
    CHECK(self->previous_weight == 1.0f && self->weight == 0.0f);
    CHECK(memcmp(self->signal[0], next, k_block * sizeof(float)) == 0);
    run(self, next, 1.0f);
    CHECK(!ae_participant_is_heard(self));
    ae_participant_destroy(self);
}

static void test_trim_moves_a_decibel_a_block(void)
{
    float in[2 * k_block];
    ae_participant *self = make(&k_room, AE_ROLE_VOICE);
    fill(in, 0.5f, 5);
    ae_participant_set_trim_db(self, -6.0f);
    ae_participant_set_trim_db(self, NAN);
    for (int b = 1; b <= 8; b++) {
        run(self, in, 1.0f);
        CHECK_NEAR(self->weight, ae_amplitude_from_db(b < 6 ? (float)-b : -6.0f), 1e-6);
    }
    ae_participant_set_trim_db(self, 99.0f);
    CHECK(self->wanted_trim_db == 12.0f);
    ae_participant_destroy(self);
}

/* A song of -14 LUFS needs no move; one 10 dB hotter is 13 + 10 dB down within two seconds. */
static void test_song_is_kept_under_the_voices(void)
{
    ae_participant *self = make(&k_room, AE_ROLE_MUSIC);
    ae_participant_report report;
    run(self, NULL, 0.0f);
    CHECK_NEAR(self->balance.gain_db, -13.0, 1e-5);
    float in[2 * k_block];
    for (int b = 0; b < 200; b++) {
        /* 1 kHz in both channels at -4 dBFS each: -4 LUFS (BS.1770-5, two channels of a tone). */
        for (int n = 0; n < k_block; n++) {
            const double phase = 2.0 * 3.14159265358979 * 1000.0 * (b * k_block + n) / k_rate;
            in[n] = in[k_block + n] = (float)(pow(10.0, -4.0 / 20.0) * sin(phase));
        }
        run(self, in, 0.0f);
    }
    ae_participant_read(self, &report);
    CHECK_NEAR(report.loudness_lufs, -4.0, 0.1);
    CHECK_NEAR(report.gain_db, -23.0, 0.15);
    CHECK(report.open && report.share == 1.0f);
    ae_participant_destroy(self);
}

/* The leveller's start gain is there from the first block, and comes out as the next one's. */
static void test_start_gain(void)
{
    ae_participant_room room = k_room;
    room.level_voices = 1;
    const ae_participant_config config = {.role = AE_ROLE_VOICE, .start_gain_db = 12.0f};
    ae_participant *self;
    CHECK(ae_participant_create(&self, &config, &room) == AE_OK);
    float in[2 * k_block];
    fill(in, 1e-3f, 6);
    run(self, in, 1.0f);
    CHECK_NEAR(self->signal[0][100], in[100] * ae_amplitude_from_db(12.0f), 1e-7);
    ae_participant_report report;
    ae_participant_read(self, &report);
    CHECK_NEAR(report.voice_gain_db, 12.0, 1e-5);
    CHECK_NEAR(report.loudness_lufs, -30.0, 0.01); /* what 12 dB bring to -18 LUFS */
    ae_participant_destroy(self);
}

/* Never a part of a block: what is beside a broken sample is no more to be trusted. */
static void test_broken_block_is_a_gap(void)
{
    static const float values[] = {NAN, INFINITY, -INFINITY, 3e38f, 8.1f, -9.0f};
    for (int v = 0; v < 6; v++) {
        ae_participant *self = make(&k_room, v % 2 ? AE_ROLE_MUSIC : AE_ROLE_VOICE);
        float good[2 * k_block], in[2 * k_block];
        fill(good, 0.1f, 7);
        fill(in, 0.1f, 8);
        in[7] = in[k_block + 9] = values[v];
        run(self, good, 1.0f);
        const float gain_db = self->balance.gain_db;
        run(self, in, 1.0f);
        CHECK(self->weight == 0.0f && self->balance.gain_db == gain_db);
        for (int n = 0; n < k_block; n++) CHECK(self->signal[0][n] == good[k_block - 1 - n]);
        ae_participant_report report;
        ae_participant_read(self, &report);
        CHECK(report.broken_count == 2 && isfinite(report.gain_db));
        run(self, good, 1.0f);
        CHECK(self->weight > 0.0f); /* once is an accident */
        run(self, in, 1.0f);
        for (int b = 0; b < 9; b++) {
            run(self, good, 1.0f);
            CHECK(self->weight == 0.0f);
        }
        run(self, good, 1.0f);
        CHECK(self->weight > 0.0f);
        ae_participant_reset(self);
        ae_participant_read(self, &report);
        CHECK(report.broken_count == 0 && !report.open);
        ae_participant_destroy(self);
    }
}

/* NaN, infinity and percentages leave no trace in the leveller. */
static void test_wrong_probability_is_not_known(void)
{
    static const float wrong[] = {NAN, INFINITY, 70.0f, -INFINITY};
    for (int w = 0; w < 4; w++) {
        ae_participant_room room = k_room;
        room.level_voices = 1;
        ae_participant *a = make(&room, AE_ROLE_VOICE), *b = make(&room, AE_ROLE_VOICE);
        float in[2 * k_block];
        for (int block = 0; block < 300; block++) {
            fill(in, block / 12 % 2 ? 0.05f : 0.001f, (uint32_t)block + 1);
            ae_participant_take(a, in, block == 100 ? wrong[w] : 0.9f);
            ae_participant_take(b, in, block == 100 ? -1.0f : 0.9f);
        }
        ae_participant_report first, second;
        ae_participant_read(a, &first);
        ae_participant_read(b, &second);
        CHECK(first.gain_db == second.gain_db && isfinite(first.gain_db));
        CHECK(first.gain_db != 0.0f);
        ae_participant_destroy(a);
        ae_participant_destroy(b);
    }
}

static void test_role_changes_between_voices(void)
{
    ae_participant *voice = make(&k_room, AE_ROLE_VOICE), *song = make(&k_room, AE_ROLE_MUSIC);
    ae_participant_set_role(voice, AE_ROLE_HOST, 0);
    CHECK(voice->config.role == AE_ROLE_HOST && voice->mic.priority_db == 6.0f);
    ae_participant_set_role(voice, AE_ROLE_VOICE, 2);
    CHECK(voice->config.team == 2 && voice->mic.priority_db == 0.0f);
    ae_participant_set_role(voice, AE_ROLE_MUSIC, 0);
    ae_participant_set_role(voice, AE_ROLE_VOICE, 3);
    CHECK(voice->config.role == AE_ROLE_VOICE && voice->config.team == 2);
    ae_participant_set_role(song, AE_ROLE_HOST, 0);
    CHECK(song->config.role == AE_ROLE_MUSIC);
    ae_participant_destroy(voice);
    ae_participant_destroy(song);
}

static void test_refuses_wrong_configurations(void)
{
    static const ae_participant_config wrong[] = {
        {.role = -1},
        {.role = 3},
        {.team = 3},
        {.team = -1},
        {.role = AE_ROLE_MUSIC, .team = 1},
        {.trim_db = -25.0f},
        {.trim_db = 12.5f},
        {.trim_db = NAN},
        {.start_gain_db = 37.0f},
        {.start_gain_db = NAN},
        {.role = AE_ROLE_MUSIC, .start_gain_db = 1.0f},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        ae_participant *self;
        CHECK(ae_participant_create(&self, &wrong[i], &k_room) == AE_ERROR_ARGUMENT);
        CHECK(self == NULL);
    }
}

int main(void)
{
    test_weight_is_a_ramp();
    test_gap_is_faded();
    test_mute_fades_his_own_sound();
    test_trim_moves_a_decibel_a_block();
    test_song_is_kept_under_the_voices();
    test_start_gain();
    test_broken_block_is_a_gap();
    test_wrong_probability_is_not_known();
    test_role_changes_between_voices();
    test_refuses_wrong_configurations();
    return AE_TEST_RESULT();
}
