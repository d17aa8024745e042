/* Truths: a lone voice passes as it is, late by the limiter; the mix without somebody is the mix
 * less what he brought; silence and garbage are the same to everybody else; the ceiling is -1 dBTP.
 */
#include "ae_mixer.h"

#include "ae_kweight.h"
#include "ae_math.h"
#include "ae_test.h"
#include "ae_true_peak.h"

enum { k_rate = 48000, k_block = 480, k_most = 10, k_blocks = 600, k_frames = k_blocks * k_block };

/* What went into a room and what came out of it. */
typedef struct {
    float in[k_most][k_frames];
    float mix[k_frames];
    float minus[k_most][k_frames];
    uint8_t own[k_most][k_blocks];
} recording;

static recording first, second;

static ae_mixer_config room_config(int level_voices)
{
    ae_mixer_config config = ae_mixer_default_config(k_rate);
    config.level_voices = level_voices;
    config.max_participants = k_most;
    return config;
}

static ae_mixer *make(const ae_mixer_config *config, int voices)
{
    ae_mixer *self;
    CHECK(ae_mixer_create(&self, config) == AE_OK);
    for (int p = 0; p < voices; p++) {
        int place = -1;
        const ae_participant_config voice = {.role = AE_ROLE_VOICE};
        CHECK(ae_mixer_join(self, &voice, &place) == AE_OK);
        CHECK(place == p);
    }
    return self;
}

/* Syllables: noise, low-passed to the range of a voice, that swells four times a second. */
static void speak(float *to, int from_block, int to_block, float size, uint32_t seed)
{
    float smooth = 0.0f;
    for (int n = from_block * k_block; n < to_block * k_block; n++) {
        const float swell = sinf(k_ae_pi * 4.0f * (float)n / k_rate);
        smooth += 0.2f * (ae_random(&seed) - smooth);
        to[n] += size * smooth * (0.1f + swell * swell);
    }
}

static void hum(float *to, float size, uint32_t seed)
{
    for (int n = 0; n < k_frames; n++) to[n] += size * ae_random(&seed);
}

static void clear(recording *of) { memset(of, 0, sizeof *of); }

/* One block; present NULL: all there; p_speech: what is known of each, or NULL. */
static void step(ae_mixer *room, recording *of, int b, int places, const uint8_t *present,
                 const float *p_speech)
{
    float in[k_most * k_block] = {0}, minus[k_most * k_block];
    for (int p = 0; p < places; p++) ae_copy(in + p * k_block, of->in[p] + b * k_block, k_block);
    ae_mixer_process(room, in, places, present, p_speech, of->mix + b * k_block, minus, 1);
    for (int p = 0; p < places; p++) {
        ae_copy(of->minus[p] + b * k_block, minus + p * k_block, k_block);
        of->own[p][b] = ae_mixer_own(room)[p];
    }
}

static void run(ae_mixer *room, recording *of, int places)
{
    for (int b = 0; b < k_blocks; b++) step(room, of, b, places, NULL, NULL);
}

static void test_lone_voice_passes_as_it_is(void)
{
    const ae_mixer_config config = room_config(0);
    ae_mixer *room = make(&config, 3);
    const int latency = ae_mixer_latency_frames(room);
    CHECK(latency * 1000 <= 5.5 * k_rate);
    clear(&first);
    speak(first.in[1], 100, 500, 0.5f, 1);
    run(room, &first, 3);
    for (int n = 110 * k_block; n < 500 * k_block; n++) {
        CHECK(first.mix[n + latency] == first.in[1][n]);
        CHECK(fabsf(first.minus[1][n + latency]) < 1e-7f); /* he does not hear himself */
    }
    CHECK(memcmp(first.mix, first.minus[0], sizeof first.mix) == 0);
    CHECK(memcmp(first.mix, first.minus[2], sizeof first.mix) == 0);
    for (int b = 0; b < k_blocks; b++) {
        CHECK(!first.own[2][b]);
        CHECK(!first.own[0][b] || b < 125); /* the first one here holds the room until 1 speaks */
    }
    ae_mixer_destroy(room);
}

/* Three talk; none of it is limited. What each hears and what he brought add up to the programme.
 */
static void test_minus_and_own_add_up(void)
{
    const ae_mixer_config config = room_config(0);
    ae_mixer *room = make(&config, 4);
    const int latency = ae_mixer_latency_frames(room);
    clear(&first);
    for (int p = 0; p < 3; p++) speak(first.in[p], 0, k_blocks, 0.2f, (uint32_t)p + 1);
    run(room, &first, 4);
    ae_participant_report report[3];
    for (int p = 0; p < 3; p++) ae_mixer_read_participant(room, p, &report[p]);
    CHECK(report[0].share > 0.5f && report[1].share > 0.5f && report[2].share > 0.5f);
    for (int n = k_frames / 2; n < k_frames - latency; n++) {
        float others = 0.0f; /* all minus-mixes together hold every voice twice */
        for (int p = 0; p < 3; p++) others += first.minus[p][n + latency];
        CHECK_NEAR(others, 2.0f * first.mix[n + latency], 1e-6);
    }
    CHECK(memcmp(first.mix, first.minus[3], sizeof first.mix) == 0);
    ae_mixer_destroy(room);
}

/* The two rooms differ only in participant 2: garbage here, silence there. */
static void test_garbage_of_one_is_silence_to_all(void)
{
    static const float garbage[] = {NAN, INFINITY, -INFINITY, 3e38f, -65.0f};
    for (int level = 0; level < 2; level++) {
        const ae_mixer_config config = room_config(level);
        ae_mixer *a = make(&config, 4), *b = make(&config, 4);
        clear(&first);
        speak(first.in[0], 0, 300, 0.2f, 1);
        speak(first.in[1], 200, k_blocks, 0.05f, 2);
        second = first;
        for (int n = 0; n < k_frames; n++) first.in[2][n] = garbage[n % 5];
        run(a, &first, 4);
        run(b, &second, 4);
        CHECK(memcmp(first.mix, second.mix, sizeof first.mix) == 0);
        for (int p = 0; p < 4; p++)
            CHECK(memcmp(first.minus[p], second.minus[p], sizeof first.minus[p]) == 0);
        ae_participant_report report;
        ae_mixer_read_participant(a, 2, &report);
        CHECK(report.broken_count == k_frames);
        ae_mixer_destroy(a);
        ae_mixer_destroy(b);
    }
}

static double true_peak_db(const float *x, int frames)
{
    static float padded[k_frames + 2 * AE_TRUE_PEAK_MARGIN], peak[k_frames];
    ae_true_peak interpolator;
    ae_true_peak_init(&interpolator);
    memcpy(padded + AE_TRUE_PEAK_MARGIN, x, (size_t)frames * sizeof(float));
    ae_true_peak_envelope(&interpolator, padded + AE_TRUE_PEAK_MARGIN, frames, peak);
    float largest = 0.0f;
    for (int n = 0; n < frames; n++) largest = fmaxf(largest, peak[n]);
    return 20.0 * log10((double)largest);
}

static void test_ceiling_holds_in_every_output(void)
{
    const ae_mixer_config config = room_config(0);
    ae_mixer *room = make(&config, 8);
    clear(&first);
    for (int p = 0; p < 8; p++) speak(first.in[p], 10 * p, k_blocks, 4.0f, (uint32_t)p + 1);
    run(room, &first, 8);
    CHECK(true_peak_db(first.mix, k_frames) <= -1.0);
    for (int p = 0; p < 8; p++) CHECK(true_peak_db(first.minus[p], k_frames) <= -1.0);
    ae_mixer_report report;
    ae_mixer_read(room, &report);
    CHECK(report.limiter.max_reduction_db > 6.0f && report.open == 8 && report.participants == 8);
    ae_mixer_destroy(room);
}

static float largest_step(const float *x)
{
    float largest = 0.0f;
    for (int n = 1; n < k_frames; n++) largest = fmaxf(largest, fabsf(x[n] - x[n - 1]));
    return largest;
}

/* A tone of 0.3 at 200 Hz moves by 0.008 a sample; whatever happens to it, no step is larger than
 * that and what a 10 ms fade adds. */
static void test_coming_and_going_does_not_click(void)
{
    const ae_mixer_config config = room_config(0);
    ae_mixer *room = make(&config, 2);
    clear(&first);
    for (int n = 0; n < k_frames; n++)
        first.in[1][n] = 0.3f * cosf(2.0f * k_ae_pi * 200.0f * (float)n / k_rate);
    int place = 1;
    for (int b = 0; b < k_blocks; b++) {
        const uint8_t present[] = {1, (uint8_t)!(b >= 100 && b < 103)};
        if (b == 200) ae_mixer_set_muted(room, 1, 1);
        if (b == 260) ae_mixer_set_muted(room, 1, 0);
        if (b == 350) ae_mixer_set_trim_db(room, 1, -12.0f);
        if (b == 400) ae_mixer_leave(room, 1);
        if (b == 450) {
            const ae_participant_config again = {.role = AE_ROLE_HOST};
            CHECK(ae_mixer_join(room, &again, &place) == AE_OK && place == 1);
        }
        step(room, &first, b, 2, present, (const float[]){0.0f, 1.0f}); /* a tone for a voice */
    }
    CHECK(largest_step(first.mix) < 0.0095f);
    CHECK(largest_step(first.minus[0]) < 0.0095f);
    CHECK(ae_energy(first.mix + 101 * k_block + 300, k_block) < 1e-12f); /* the gap */
    CHECK(ae_energy(first.mix + 230 * k_block, k_block) == 0.0f);        /* muted */
    CHECK(ae_energy(first.mix + 300 * k_block, k_block) > 10.0f);
    CHECK(ae_energy(first.mix + 430 * k_block, k_block) == 0.0f); /* gone */
    CHECK(ae_energy(first.mix + 500 * k_block, k_block) > 10.0f); /* back, without the trim */
    ae_mixer_destroy(room);
}

/* Thirty-two open microphones' noise: the room does not get louder with them. */
static void test_noise_does_not_add_up(void)
{
    const ae_mixer_config config = room_config(0);
    ae_mixer *room = make(&config, k_most);
    clear(&first);
    for (int p = 0; p < k_most; p++) hum(first.in[p], 2e-3f, (uint32_t)p + 1);
    speak(first.in[3], 100, 300, 0.3f, 77);
    run(room, &first, k_most);
    const float one = ae_energy(first.in[0] + 450 * k_block, 100 * k_block);
    const float all = ae_energy(first.mix + 450 * k_block, 100 * k_block);
    CHECK_NEAR(ae_db_from_power(all / one), 0.0, 0.5); /* the last one who spoke holds the room */
    ae_mixer_destroy(room);
}

static double loudness(const float *x, int from, int to)
{
    ae_kweight *weighting;
    const ae_kweight_config config = {k_rate, 1};
    CHECK(ae_kweight_create(&weighting, &config) == AE_OK);
    const float *const rows[] = {x + from * k_block};
    const double power = ae_kweight_mean_square(weighting, rows, (to - from) * k_block);
    ae_kweight_destroy(weighting);
    return ae_lufs_from_mean_square(power);
}

/* The song: 9 LU under -18 LUFS; ducked by 4 dB while a voice speaks, within 0.3 s, back in 2 s. */
static void test_music_makes_way(void)
{
    const ae_mixer_config config = room_config(0);
    ae_mixer *room = make(&config, 1);
    int place = -1;
    const ae_participant_config song = {.role = AE_ROLE_MUSIC};
    CHECK(ae_mixer_join(room, &song, &place) == AE_OK && place == 1);
    clear(&first);
    hum(first.in[1], 0.4f, 9);
    speak(first.in[0], 300, 400, 0.3f, 1);
    double alone = 0.0, ducked = 0.0, back = 0.0;
    for (int b = 0; b < k_blocks; b++) {
        step(room, &first, b, 2, NULL, NULL);
        ae_mixer_report report;
        ae_mixer_read(room, &report);
        if (b == 299) CHECK_NEAR(report.music_duck_db, 0.0, 0.01);
        if (b == 330) CHECK_NEAR(report.music_duck_db, 4.0, 0.1);
    }
    alone = loudness(first.mix, 250, 299);
    ducked = loudness(first.minus[0], 340, 390); /* the talker hears the song only */
    back = loudness(first.mix, 580, 600);
    CHECK_NEAR(alone, -27.0, 0.3);
    CHECK_NEAR(ducked, alone - 4.0, 0.3);
    CHECK_NEAR(back, alone, 0.7);
    CHECK(loudness(first.minus[1], 250, 299) < -60.0); /* and the song not itself */
    ae_mixer_destroy(room);
}

/* Three against one, all talking at once at -18 LUFS each: both teams at the voices' target. */
static void test_teams_are_equally_loud(void)
{
    ae_mixer_config config = room_config(0);
    ae_mixer *room = make(&config, 0);
    for (int p = 0; p < 4; p++) {
        int place;
        const ae_participant_config side = {.role = AE_ROLE_VOICE, .team = p < 3 ? 1 : 2};
        CHECK(ae_mixer_join(room, &side, &place) == AE_OK);
    }
    clear(&first);
    for (int p = 0; p < 4; p++) {
        speak(first.in[p], 0, k_blocks, 0.5f, (uint32_t)p + 1);
        const float gain = ae_amplitude_from_db(-18.0f - (float)loudness(first.in[p], 0, k_blocks));
        for (int n = 0; n < k_frames; n++) first.in[p][n] *= gain;
    }
    ae_mixer_report report;
    for (int round = 0; round < 3; round++) run(room, &first, 4);
    ae_mixer_read(room, &report);
    /* With no member of the other team: what team A brings, and what team B does. */
    CHECK_NEAR(report.team_loudness_lufs[0] + report.team_gain_db[0], -18.0, 0.3);
    CHECK_NEAR(report.team_loudness_lufs[1] + report.team_gain_db[1], -18.0, 0.3);
    CHECK(report.team_gain_db[0] < -1.0f); /* three at once were louder */
    for (int n = 0; n < k_frames; n++) first.in[3][n] = 0.0f;
    run(room, &first, 4);
    CHECK_NEAR(loudness(first.mix, 300, 500), -18.0, 0.8);
    ae_mixer_set_team_trim_db(room, 1, -3.0f);
    run(room, &first, 4);
    CHECK_NEAR(loudness(first.mix, 300, 500), -21.0, 0.8);
    ae_mixer_destroy(room);
}

/* The whole mix walks to its loudness, 3 dB at most. */
static void test_programme_trim(void)
{
    ae_mixer_config config = room_config(0);
    config.programme_lufs = -16.0f;
    ae_mixer *room = make(&config, 1);
    clear(&first);
    speak(first.in[0], 0, k_blocks, 0.5f, 1);
    const float gain = ae_amplitude_from_db(-18.0f - (float)loudness(first.in[0], 0, k_blocks));
    for (int n = 0; n < k_frames; n++) first.in[0][n] *= gain;
    run(room, &first, 1);
    run(room, &first, 1);
    CHECK_NEAR(loudness(first.mix, 0, k_blocks), -16.0, 0.3);
    for (int n = 0; n < k_frames; n++) first.in[0][n] *= 0.4f; /* 8 dB: more than it may do */
    for (int round = 0; round < 3; round++) run(room, &first, 1);
    ae_mixer_report report;
    ae_mixer_read(room, &report);
    CHECK_NEAR(report.programme_trim_db, 3.0, 0.11);
    ae_mixer_destroy(room);
}

static void test_reset_is_new_and_nothing_is_allocated(void)
{
    const ae_mixer_config config = room_config(1);
    ae_mixer *a = make(&config, 4), *b = make(&config, 4);
    clear(&first);
    for (int p = 0; p < 4; p++) speak(first.in[p], 50 * p, k_blocks, 0.4f, (uint32_t)p + 1);
    second = first;
    const uint64_t before = ae_allocation_count();
    run(a, &first, 4);
    ae_mixer_reset(a);
    run(a, &first, 4);
    CHECK(ae_allocation_count() == before);
    run(b, &second, 4);
    CHECK(memcmp(first.mix, second.mix, sizeof first.mix) == 0);
    CHECK(memcmp(first.minus, second.minus, sizeof first.minus) == 0);
    ae_mixer_destroy(a);
    ae_mixer_destroy(b);
}

/* Rows are written only where they differ from the programme, unless all are asked for. */
static void test_only_own_rows_are_written(void)
{
    const ae_mixer_config config = room_config(0);
    ae_mixer *room = make(&config, 3);
    clear(&first);
    speak(first.in[1], 0, 20, 0.4f, 1);
    for (int b = 0; b < 20; b++) {
        float in[3 * k_block], minus[3 * k_block], mix[k_block];
        for (int p = 0; p < 3; p++) ae_copy(in + p * k_block, first.in[p] + b * k_block, k_block);
        ae_fill(minus, 123.0f, 3 * k_block);
        ae_mixer_process(room, in, 3, NULL, NULL, mix, minus, 0);
        const uint8_t *own = ae_mixer_own(room);
        for (int p = 0; p < 3; p++) CHECK((minus[p * k_block] != 123.0f) == own[p]);
        if (b > 10) CHECK(own[1] && !own[2]);
    }
    ae_mixer_destroy(room);
}

/* NaN, Inf, 3e38, denormals, DC, full scale, silence from everybody: bounded, and speech is heard
 * again after 100 ms. */
static void test_bad_weather(void)
{
    static const float values[] = {NAN, INFINITY, -INFINITY, 3e38f, 1e-40f, 1.0f, -1.0f, 0.0f};
    for (int v = 0; v < 8; v++) {
        ae_mixer_config config = room_config(1);
        config.programme_lufs = -16.0f;
        ae_mixer *room = make(&config, 2);
        clear(&first);
        for (int p = 0; p < 2; p++) {
            ae_fill(first.in[p], values[v], 200 * k_block);
            speak(first.in[p], 200, k_blocks, 0.2f, (uint32_t)p + 1);
        }
        run(room, &first, 2);
        for (int n = 0; n < k_frames; n++) {
            CHECK(fabsf(first.mix[n]) <= 0.8913f && fabsf(first.minus[0][n]) <= 0.8913f);
        }
        CHECK(ae_energy(first.mix + 210 * k_block, 40 * k_block) > 1.0f);
        ae_mixer_destroy(room);
    }
}

static void test_places(void)
{
    ae_mixer_config config = room_config(0);
    config.max_participants = 3;
    ae_mixer *room = make(&config, 3);
    const ae_participant_config voice = {.role = AE_ROLE_VOICE}, wrong = {.role = 7};
    int place = -1;
    CHECK(ae_mixer_join(room, &voice, &place) == AE_ERROR_FULL && place == -1);
    ae_mixer_leave(room, 1);
    CHECK(ae_mixer_join(room, &voice, &place) == AE_ERROR_FULL); /* he fades first */
    clear(&first);
    step(room, &first, 0, 3, NULL, NULL);
    ae_participant_report report;
    CHECK(ae_mixer_join(room, &wrong, &place) == AE_ERROR_ARGUMENT && place == -1);
    CHECK(ae_mixer_join(room, &voice, &place) == AE_OK && place == 1);
    ae_mixer_read_participant(room, 7, &report);
    CHECK(report.share == 0.0f && !report.open);
    ae_mixer_leave(room, 99);
    ae_mixer_set_muted(room, -1, 1);
    ae_mixer_set_trim_db(room, 3, 1.0f);
    ae_mixer_set_team_trim_db(room, 3, 1.0f);
    ae_mixer_destroy(room);
    ae_mixer_destroy(NULL);

    const ae_mixer_config good = ae_mixer_default_config(k_rate);
    ae_mixer_config bad[8];
    for (int i = 0; i < 8; i++) bad[i] = good;
    bad[0].sample_rate_hz = 7999;
    bad[1].channels = 9;
    bad[2].max_participants = 0;
    bad[3].target_lufs = -40.0f;
    bad[4].programme_lufs = -5.0f;
    bad[5].music_below_lu = -1.0f;
    bad[6].duck_db = NAN;
    bad[7].ceiling_dbtp = 1.0f;
    for (int i = 0; i < 8; i++) {
        CHECK(ae_mixer_create(&room, &bad[i]) == AE_ERROR_ARGUMENT && room == NULL);
    }
}

int main(void)
{
    test_lone_voice_passes_as_it_is();
    test_minus_and_own_add_up();
    test_garbage_of_one_is_silence_to_all();
    test_ceiling_holds_in_every_output();
    test_coming_and_going_does_not_click();
    test_noise_does_not_add_up();
    test_music_makes_way();
    test_teams_are_equally_loud();
    test_programme_trim();
    test_reset_is_new_and_nothing_is_allocated();
    test_only_own_rows_are_written();
    test_bad_weather();
    test_places();
    return AE_TEST_RESULT();
}
