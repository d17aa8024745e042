/* Truths: gains in closed form (copies of one signal at known ratios), block counts of the hang,
 * the hold and the closing, and noise, voices and key strokes made here at known levels. */
#include "ae_automix.h"

#include <stdlib.h>
#include <string.h>

#include "ae_common.h"
#include "ae_math.h"
#include "ae_test.h"

enum { k_most_mics = 1000, k_most_frames = 960, k_second = 100 };

static ae_automix room;
static ae_automix_mic mics[k_most_mics];
static ae_automix_mic *slots[k_most_mics];
static int mic_count, rate;
static float signal_of[k_most_mics][k_most_frames];
static uint32_t seed;
static int64_t clock_frames; /* of the voices */

static void open_room(int count, int sample_rate_hz)
{
    mic_count = count;
    rate = sample_rate_hz;
    seed = 7;
    clock_frames = 0;
    ae_automix_reset(&room);
    for (int i = 0; i < count; i++) {
        ae_automix_mic_reset(&mics[i]);
        slots[i] = &mics[i];
    }
    memset(signal_of, 0, sizeof signal_of);
}

static int frames(void) { return ae_block_frames(rate); }

/* White noise of a level in dBFS, mean square. */
static void add_noise(int mic, float level_dbfs)
{
    const float scale = sqrtf(3.0f) * ae_amplitude_from_db(level_dbfs);
    for (int n = 0; n < frames(); n++) signal_of[mic][n] += scale * ae_random(&seed);
}

/* Harmonics of 150 Hz in four syllables a second, `depth_db` deep; mean square near level_dbfs. */
static void add_voice(int mic, float level_dbfs, float depth_db)
{
    for (int n = 0; n < frames(); n++) {
        const double t = (double)(clock_frames + n) / rate;
        const float envelope_db = 0.5f * depth_db * (float)cos(2.0 * 3.141592653589793 * 4.0 * t);
        float wave = 0.0f;
        for (int k = 1; k <= 12; k++)
            wave += (float)sin(2.0 * 3.141592653589793 * 150.0 * k * t + k * k) / sqrtf(6.0f);
        signal_of[mic][n] += wave * ae_amplitude_from_db(level_dbfs + envelope_db);
    }
}

/* All microphones hear what was added, with one speech probability. */
static void step_with(float speech_probability)
{
    for (int i = 0; i < mic_count; i++) {
        const float *in[1] = {signal_of[i]};
        if (slots[i] != NULL) ae_automix_mic_hear(slots[i], in, 1, frames(), speech_probability);
        memset(signal_of[i], 0, sizeof signal_of[i]);
    }
    ae_automix_share(&room, slots, mic_count);
    clock_frames += frames();
}

static void step(void) { step_with(-1.0f); }

static void hear_noise(int blocks, float level_dbfs)
{
    for (int b = 0; b < blocks; b++) {
        for (int i = 0; i < mic_count; i++) add_noise(i, level_dbfs);
        step();
    }
}

/* Microphone 0 talks for a second over -60 dBFS of noise everywhere, and takes the hold. */
static void let_first_talk(void)
{
    hear_noise(2 * k_second, -60.0f);
    for (int b = 0; b < k_second; b++) {
        for (int i = 0; i < mic_count; i++) add_noise(i, -60.0f);
        add_voice(0, -20.0f, 12.0f);
        step();
    }
    CHECK(mics[0].talking && room.held == 0 && mics[0].gain == 1.0f);
}

static const int k_rates_hz[] = {8000, 16000, 32000, 44100, 48000, 96000};

/* A sine of an amplitude has half its square as mean square; 2 kHz fills whole segments. */
static void test_level_in_closed_form(void)
{
    for (int r = 0; r < 6; r++) {
        const double hz[] = {2000.0, 400.0, 50.0};
        float level_db[3];
        for (int h = 0; h < 3; h++) {
            double mean_square = 0.0;
            for (int b = 0; b < 50; b++) {
                if (b == 0) open_room(1, k_rates_hz[r]);
                for (int n = 0; n < frames(); n++)
                    signal_of[0][n] = 0.1f * (float)sin(2.0 * 3.141592653589793 * hz[h] *
                                                        (double)(clock_frames + n) / rate);
                step();
                mean_square += (double)ae_power_from_db(mics[0].level_db) / 50.0;
            }
            level_db[h] = ae_db_from_power((float)mean_square);
        }
        CHECK_NEAR(level_db[0], -23.01, 0.05);
        CHECK_NEAR(level_db[1], -23.01, 0.5);
        CHECK(level_db[2] < -23.01f - 12.0f); /* 1 - sinc^2(1/8) is -13 dB */
    }
}

/* The difference of a sine over a lag has 4 sin^2(pi f lag) of its power: the lag is the
 * whole number of frames next to 1/16 ms. */
static void test_treble_in_closed_form(void)
{
    const int lag_frames[] = {1, 1, 2, 3, 3, 6};
    for (int r = 0; r < 6; r++) {
        const double turn = 3.141592653589793 * 3000.0 / k_rates_hz[r];
        open_room(1, k_rates_hz[r]);
        for (int b = 0; b < k_second; b++) {
            for (int n = 0; n < frames(); n++)
                signal_of[0][n] = 0.1f * (float)sin(2.0 * turn * (double)(clock_frames + n));
            step();
        }
        const double ratio = (double)(mics[0].hiss.smoothed / mics[0].body.smoothed);
        CHECK_NEAR(10.0 * log10(ratio), 20.0 * log10(2.0 * sin(turn * lag_frames[r])), 0.1);
    }
}

/* From closed to 1 in the block of the step, at every rate, after noise or a minute of nothing. */
static void test_a_step_opens_at_once(void)
{
    for (int r = 0; r < 6; r++)
        for (int silent = 0; silent < 2; silent++) {
            open_room(2, k_rates_hz[r]);
            let_first_talk();
            for (int b = 0; b < 60 * k_second; b++) {
                if (!silent) add_noise(1, -60.0f);
                if (!silent && b > 59 * k_second) CHECK(mics[1].gain == 0.0f);
                step();
                if (!silent && b >= 10 * k_second) b += 9; /* the rest goes faster */
            }
            CHECK(mics[1].gain == 0.0f && mics[0].gain == 1.0f);
            add_noise(1, -40.0f);
            step();
            CHECK(mics[1].gain == 1.0f && !mics[1].talking);
        }
}

/* The steadier the noise, the softer the sound that opens: 2.7 dB over it in two blocks. */
static void test_a_soft_sound_opens_over_steady_noise(void)
{
    open_room(2, 48000);
    let_first_talk();
    hear_noise(5 * k_second, -50.0f);
    CHECK(mics[1].gain == 0.0f);
    for (int b = 0; b < 2; b++) {
        add_noise(0, -50.0f);
        add_noise(1, -47.3f);
        step();
        CHECK(mics[1].gain == (float)b);
    }
    hear_noise(30, -50.0f); /* and is forgotten: 0.1 s and the closing */
    CHECK(mics[1].gain == 0.0f && room.held == 0);
}

/* A sender's gate: the noise before the silence is the noise after it. */
static void test_digital_silence_says_nothing_of_the_noise(void)
{
    open_room(2, 48000);
    let_first_talk();
    for (int b = 0; b < 10 * k_second; b++) {
        add_noise(0, -60.0f);
        if (b < 3 * k_second || b >= 8 * k_second) add_noise(1, -40.0f);
        step();
        if (b >= 3 * k_second) CHECK(mics[1].gain == 0.0f);
    }
}

/* Ten minutes of noise open nothing; only the held one stays. */
static void test_noise_opens_nothing(void)
{
    open_room(4, 16000);
    let_first_talk();
    hear_noise(k_second, -50.0f);
    int open = 0;
    for (int b = 0; b < 600 * k_second; b++) {
        hear_noise(1, -50.0f);
        if (b < 5 * k_second) continue; /* the noise has just risen everywhere */
        CHECK(mics[0].gain == 1.0f && room.held == 0);
        for (int i = 1; i < 4; i++) open += mics[i].gain > 0.0f;
    }
    CHECK(open < 1800 * k_second / 1000); /* 0.1 % of the time */
}

/* Nor does noise that is ragged, by +-5 dB from block to block: its spread is known. */
static void test_ragged_noise_opens_little(void)
{
    open_room(2, 16000);
    let_first_talk();
    int open = 0;
    for (int b = 0; b < 120 * k_second; b++) {
        add_noise(0, -60.0f);
        add_noise(1, -45.0f + 2.5f * (ae_random(&seed) + ae_random(&seed)));
        step();
        if (b < 10 * k_second) continue; /* it has just begun */
        open += mics[1].gain > 0.0f;
        CHECK(!mics[1].talking && room.held == 0);
    }
    CHECK(open < 110 * k_second / 10); /* for moments: 10 % of the time at most */
}

/* Copies of one voice at known ratios. */
static void hear_copies(int count, const float *ratio_db, int blocks)
{
    for (int b = 0; b < blocks; b++) {
        for (int i = 0; i < count; i++) add_voice(i, -20.0f + ratio_db[i], 5.0f);
        for (int i = 0; i < mic_count; i++) add_noise(i, -75.0f);
        step();
    }
}

static void test_equal_talkers_share_in_closed_form(void)
{
    const int talkers[] = {1, 2, 3, 4, 8};
    for (int t = 0; t < 5; t++) {
        float ratio_db[8] = {0};
        open_room(8, 48000);
        hear_noise(k_second, -75.0f);
        hear_copies(talkers[t], ratio_db, 2 * k_second);
        const double each = fmin(1.0, 1.5 / sqrt(talkers[t]));
        for (int i = 0; i < 8; i++) CHECK_NEAR(mics[i].gain, i < talkers[t] ? each : 0.0, 1e-3);
    }
}

static void test_a_quieter_talker_shares_and_a_leak_stays_closed(void)
{
    const float quieter_db[] = {0.0f, -8.5f}; /* 2.5 times the ratio of amplitudes */
    open_room(2, 48000);
    hear_noise(2 * k_second, -75.0f);
    hear_copies(2, quieter_db, 3 * k_second);
    CHECK_NEAR(mics[0].gain, 1.0, 1e-3);
    CHECK_NEAR(mics[1].gain, 2.5 * pow(10.0, -8.5 / 20.0), 0.02);

    for (float leak_db = -12.0f; leak_db >= -25.0f; leak_db -= 1.0f) {
        const float ratio_db[] = {0.0f, leak_db};
        open_room(2, 48000);
        hear_noise(2 * k_second, -75.0f);
        hear_copies(2, ratio_db, 40);
        for (int b = 0; b < 3 * k_second; b++) {
            hear_copies(2, ratio_db, 1);
            CHECK(mics[1].gain == 0.0f && !mics[1].talking && mics[0].gain == 1.0f);
        }
    }

    const float ratio_db[] = {0.0f, -14.5f}; /* a host counts 6 dB more */
    open_room(2, 48000);
    mics[1].priority_db = 6.0f;
    hear_noise(2 * k_second, -75.0f);
    hear_copies(2, ratio_db, 3 * k_second);
    CHECK_NEAR(mics[0].gain, 1.0, 1e-3);
    CHECK_NEAR(mics[1].gain, 2.5 * pow(10.0, -8.5 / 20.0), 0.02);
}

/* What leaks into the second microphone rings on with 1 dB a block when the first one stops (T60 of
 * 0.6 s); 0.3 s later the second talker starts softly, 30 dB under the first. */
static void test_leak_that_rings_on_and_the_next_talker(void)
{
    open_room(2, 48000);
    hear_noise(2 * k_second, -75.0f);
    for (int b = 0; b < 2 * k_second; b++) {
        add_noise(0, -75.0f);
        add_noise(1, -75.0f);
        add_voice(0, -20.0f, 5.0f);
        add_voice(1, -35.0f, 5.0f);
        step();
    }
    CHECK(mics[1].gain == 0.0f && mics[0].talking);
    for (int b = 0; b < 30; b++) {
        add_noise(0, -75.0f);
        add_noise(1, -75.0f);
        add_voice(1, -35.0f - (float)b, 5.0f);
        step();
        CHECK(mics[1].gain == 0.0f);
    }
    add_voice(1, -50.0f, 5.0f);
    step();
    CHECK(mics[1].gain > 0.9f);
}

/* Another goes on talking: the one who stops is talk for 0.4 s, then falls by 0.06 a block. */
static void test_hang_and_closing(void)
{
    open_room(2, 48000);
    hear_noise(2 * k_second, -75.0f);
    const float equal_db[] = {0.0f, 0.0f};
    hear_copies(2, equal_db, 2 * k_second);
    int talk_blocks = 0, open_blocks = 0;
    float before = mics[1].gain;
    for (int b = 0; b < k_second; b++) {
        hear_copies(1, equal_db, 1); /* only the first */
        talk_blocks += mics[1].talking;
        open_blocks += mics[1].gain > 0.0f;
        CHECK(mics[1].gain >= before - 0.0601f);
        before = mics[1].gain;
    }
    CHECK(talk_blocks == 39); /* 40 with the last one he spoke in */
    CHECK(open_blocks >= 39 && open_blocks <= 39 + 17);
    CHECK(mics[1].gain == 0.0f && mics[0].gain == 1.0f);
}

static void test_the_last_one_is_held(void)
{
    open_room(4, 48000);
    const float *in[1] = {signal_of[0]};
    hear_noise(1, -60.0f);
    CHECK(room.held == 0 && mics[0].gain == 1.0f); /* nobody has spoken: the first one there */
    hear_noise(2 * k_second, -60.0f);
    for (int speaker = 1; speaker < 4; speaker++)
        for (int b = 0; b < k_second; b++) {
            for (int i = 0; i < mic_count; i++) add_noise(i, -60.0f);
            add_voice(speaker, -20.0f, 12.0f);
            step();
        }
    for (int b = 0; b < 60 * k_second; b++) {
        hear_noise(1, -60.0f);
        CHECK(room.held == 3 && mics[3].gain == 1.0f);
    }
    for (int i = 0; i < 3; i++) CHECK(mics[i].gain == 0.0f);

    for (int b = 0; b < 40; b++) { /* he mutes: back to who spoke before */
        for (int i = 0; i < 3; i++) ae_automix_mic_hear(&mics[i], in, 1, frames(), -1.0f);
        ae_automix_mic_rest(&mics[3]);
        ae_automix_share(&room, slots, 4);
    }
    CHECK(room.held == 2 && mics[2].gain == 1.0f && mics[3].gain == 0.0f);
    slots[2] = NULL; /* leaves */
    ae_automix_share(&room, slots, 4);
    CHECK(room.held == 1 && mics[1].gain == 1.0f);
    ae_automix_share(&room, slots, 0);
    CHECK(room.held == -1);
}

/* Who joins in the middle of a sentence is heard from the first block on, and stays. */
static void test_joining_in_the_middle_of_a_talk(void)
{
    for (int loud = 0; loud < 2; loud++) {
        open_room(2, 48000);
        slots[1] = NULL;
        let_first_talk();
        slots[1] = &mics[1];
        for (int b = 0; b < 20 * k_second; b++) {
            add_noise(0, -60.0f);
            add_noise(1, -60.0f);
            add_voice(1, loud ? -14.0f : -26.0f, 16.0f);
            step();
            CHECK(mics[1].gain > 0.99f);
            CHECK(b < 25 || mics[1].talking); /* a syllable */
        }
    }
}

/* A fan comes on: a sound at first, noise within 3 s; the hold goes back; a voice opens over it. */
static void test_a_fan_closes(void)
{
    for (float level_dbfs = -50.0f; level_dbfs <= -20.0f; level_dbfs += 10.0f) {
        open_room(2, 48000);
        let_first_talk();
        int open_blocks = 0;
        for (int b = 0; b < 10 * k_second; b++) {
            add_noise(0, -60.0f);
            add_noise(1, level_dbfs);
            step();
            open_blocks += mics[1].gain > 0.0f;
            if (b >= 3 * k_second) CHECK(mics[1].gain == 0.0f && room.held == 0);
        }
        CHECK(open_blocks > 0 && mics[0].gain == 1.0f);
        for (int b = 0; b < 30; b++) {
            add_noise(0, -60.0f);
            add_noise(1, level_dbfs);
            add_voice(1, level_dbfs + 15.0f, 12.0f);
            step();
            if (b == 0) CHECK(mics[1].gain > 0.2f);
        }
        CHECK(mics[1].talking);
    }
}

/* Key strokes and slams, 40 dB over the noise, do not become talk, take no hold and no gain. */
static void test_strokes_are_no_talk(void)
{
    const float decay_ms[] = {5.0f, 40.0f}; /* of the amplitude: 40 ms is 0.28 s of reverberation */
    const int every_blocks[] = {20, 100};
    for (int kind = 0; kind < 2; kind++) {
        open_room(2, 48000);
        let_first_talk();
        int open_blocks = 0;
        for (int b = 0; b < 20 * k_second; b++) {
            const int since = b % every_blocks[kind];
            add_noise(0, -60.0f);
            add_noise(1, -60.0f);
            for (int n = 0; n < frames(); n++) {
                const float ms = 10.0f * (float)since + (float)n / 48.0f;
                signal_of[1][n] += 0.3f * expf(-ms / decay_ms[kind]) * ae_random(&seed);
            }
            if (b % 400 < 100) add_voice(0, -20.0f, 12.0f);
            step();
            open_blocks += mics[1].gain > 0.0f;
            CHECK(!mics[1].talking && room.held == 0 && mics[0].gain == 1.0f);
        }
        CHECK(open_blocks > 0); /* but they are heard: what a sound is shows only later */
    }
}

/* Full-scale noise of one: closed within 3 s; until then the voices of the others lose less than
 * 1.5 dB. */
static void test_garbage_of_one_leaves_the_others(void)
{
    double heard[2] = {0.0}, mixed[2] = {0.0};
    open_room(3, 48000);
    hear_noise(2 * k_second, -60.0f);
    for (int b = 0; b < 13 * k_second; b++) {
        for (int i = 0; i < 2; i++) {
            add_noise(i, -60.0f);
            add_voice(i, -20.0f, 16.0f);
        }
        if (b >= 5 * k_second) add_noise(2, -1.8f);
        step();
        for (int i = 0; i < 2; i++) {
            if (b < 5 * k_second || b >= 8 * k_second) continue;
            heard[i] += (double)mics[i].power;
            mixed[i] += (double)(mics[i].power * mics[i].gain * mics[i].gain);
        }
        if (b >= 8 * k_second) CHECK(mics[2].gain == 0.0f && mics[0].gain == 1.0f);
    }
    for (int i = 0; i < 2; i++) CHECK(10.0 * log10(mixed[i] / heard[i]) > -1.5);
}

static void test_the_speech_probability_counts(void)
{
    open_room(2, 48000);
    let_first_talk();
    int open_blocks = 0;
    for (int b = 0; b < 20 * k_second; b++) { /* a voice of a television, as the engine has it */
        add_noise(1, -60.0f);
        add_voice(1, -22.0f, 12.0f);
        step_with(0.02f);
        open_blocks += mics[1].gain > 0.0f;
        CHECK(!mics[1].talking && room.held == 0);
    }
    CHECK(open_blocks > 0 && open_blocks < 60);
    add_voice(1, -22.0f, 12.0f);
    step_with(0.9f);
    CHECK(mics[1].gain == 1.0f);

    open_room(2, 48000); /* a held note, which would be a fan without the probability */
    let_first_talk();
    for (int b = 0; b < 10 * k_second; b++) {
        add_noise(1, -60.0f);
        add_voice(1, -20.0f, 0.0f);
        step_with(0.9f);
        CHECK(mics[1].gain > (b == 0 ? 0.9f : 0.999f) && (b < 6 || mics[1].talking));
    }
}

/* Gains of what is open move smoothly: a voice comes and goes beside another. */
static void test_gains_move_smoothly(void)
{
    open_room(3, 48000);
    let_first_talk();
    for (int b = 0; b < 20 * k_second; b++) {
        float before[3];
        for (int i = 0; i < 3; i++) before[i] = mics[i].gain;
        for (int i = 0; i < 3; i++) add_noise(i, -60.0f);
        add_voice(0, -20.0f, 20.0f);
        if (b / 70 % 2) add_voice(1, -18.0f, 8.0f);
        if (b / 130 % 2) add_voice(2, -24.0f, 14.0f);
        step();
        for (int i = 0; i < 3; i++) {
            CHECK(mics[i].gain >= before[i] - 0.0601f);
            CHECK(mics[i].gain <= before[i] + (mics[i].opened ? 1.0f : 0.2501f) ||
                  before[i] == 0.0f);
        }
    }
}

static void test_a_thousand_microphones(void)
{
    open_room(1000, 8000);
    for (int b = 0; b < 3 * k_second; b++) {
        for (int i = 0; i < 1000; i++) add_noise(i, -60.0f);
        if (b >= k_second) add_voice(500, -20.0f, 12.0f);
        step();
    }
    float closed = 0.0f;
    for (int i = 0; i < 1000; i++) closed += i == 500 ? 0.0f : mics[i].gain;
    CHECK(mics[500].gain == 1.0f && room.held == 500);
    CHECK(closed < 1.0f); /* half a percent may have opened for a moment */
}

static int is_sound(const ae_automix_mic *mic)
{
    const float values[] = {mic->gain,
                            mic->body.smoothed,
                            mic->body.floor,
                            mic->body.mean_db,
                            mic->body.spread_db,
                            mic->hiss.smoothed,
                            mic->hiss.floor,
                            mic->hiss.mean_db,
                            mic->hiss.spread_db,
                            mic->level_db,
                            mic->level,
                            mic->held_level,
                            mic->held_probability,
                            mic->peak_db};
    for (size_t i = 0; i < sizeof values / sizeof *values; i++)
        if (!(fabsf(values[i]) <= 1000.0f)) return 0;
    return mic->gain >= 0.0f && mic->gain <= 1.0f;
}

static void test_bad_weather(void)
{
    const float weather[][2] = {{NAN, NAN},        {INFINITY, -INFINITY}, {3e38f, -3e38f},
                                {1e-41f, -1e-41f}, {1.0f, 1.0f},          {1.0f, -1.0f},
                                {0.0f, 0.0f},      {NAN, 1.0f},           {3e38f, 3e38f}};
    for (int w = 0; w < 9; w++) {
        open_room(2, 48000);
        let_first_talk();
        for (int b = 0; b < 5 * k_second; b++) {
            add_noise(0, -60.0f);
            for (int n = 0; n < frames(); n++) signal_of[1][n] = weather[w][n / 7 % 2];
            step_with(b % 2 ? NAN : -1.0f);
            CHECK(is_sound(&mics[0]) && is_sound(&mics[1]) && isfinite(room.voice) &&
                  isfinite(room.reference));
        }
        CHECK(mics[0].gain == 1.0f);
        int b = 0;
        for (; b < k_second && mics[1].gain < 0.99f; b++) {
            add_noise(0, -60.0f);
            add_noise(1, -60.0f);
            add_voice(1, -20.0f, 12.0f);
            step();
        }
        CHECK(b <= 10);
    }
}

static void test_reset_independence_and_allocation(void)
{
    static ae_automix_mic kept[3];
    const uint64_t allocations = ae_allocation_count();
    for (int round = 0; round < 2; round++) {
        open_room(3, 48000);
        ae_automix other;
        ae_automix_mic strange, *strangers[1] = {&strange};
        ae_automix_reset(&other);
        ae_automix_mic_reset(&strange);
        uint32_t own = 3;
        for (int b = 0; b < 5 * k_second; b++) {
            float noise[480];
            for (int n = 0; n < 480; n++) noise[n] = ae_random(&own);
            const float *in[1] = {noise};
            if (round == 1) ae_automix_mic_hear(&strange, in, 1, 480, 0.5f);
            if (round == 1) ae_automix_share(&other, strangers, 1);
            for (int i = 0; i < 3; i++) add_noise(i, -55.0f);
            if (b / 90 % 2) add_voice(b / 180 % 3, -20.0f, 12.0f);
            step();
        }
        if (round == 0) memcpy(kept, mics, sizeof kept);
        CHECK(memcmp(kept, mics, sizeof kept) == 0);
        ae_automix fresh;
        ae_automix_mic new_mic;
        ae_automix_reset(&fresh);
        ae_automix_mic_reset(&new_mic);
        ae_automix_reset(&room);
        ae_automix_mic_reset(&mics[1]);
        CHECK(memcmp(&fresh, &room, sizeof fresh) == 0);
        CHECK(memcmp(&new_mic, &mics[1], sizeof new_mic) == 0);
    }
    CHECK(ae_allocation_count() == allocations);
}

/* A sound in one of two channels opens as the same sound alone. */
static void test_channels(void)
{
    ae_automix_mic one, two;
    ae_automix_mic_reset(&one);
    ae_automix_mic_reset(&two);
    open_room(1, 48000);
    const float silence[480] = {0.0f};
    const float *in[2] = {silence, signal_of[0]};
    for (int b = 0; b < k_second; b++) {
        add_noise(0, b % 50 < 30 ? -60.0f : -30.0f);
        ae_automix_mic_hear(&one, in + 1, 1, 480, -1.0f);
        ae_automix_mic_hear(&two, in, 2, 480, -1.0f);
        CHECK(one.evidence == two.evidence && one.level == two.level);
        memset(signal_of[0], 0, sizeof signal_of[0]);
    }
}

int main(void)
{
    test_level_in_closed_form();
    test_treble_in_closed_form();
    test_a_step_opens_at_once();
    test_a_soft_sound_opens_over_steady_noise();
    test_digital_silence_says_nothing_of_the_noise();
    test_noise_opens_nothing();
    test_ragged_noise_opens_little();
    test_equal_talkers_share_in_closed_form();
    test_a_quieter_talker_shares_and_a_leak_stays_closed();
    test_leak_that_rings_on_and_the_next_talker();
    test_hang_and_closing();
    test_the_last_one_is_held();
    test_joining_in_the_middle_of_a_talk();
    test_a_fan_closes();
    test_strokes_are_no_talk();
    test_garbage_of_one_leaves_the_others();
    test_the_speech_probability_counts();
    test_gains_move_smoothly();
    test_a_thousand_microphones();
    test_bad_weather();
    test_reset_independence_and_allocation();
    test_channels();
    return AE_TEST_RESULT();
}
