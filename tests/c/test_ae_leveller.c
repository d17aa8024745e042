/* Truths: the loudness of the output by an independent BS.1770-5 meter (the printed 48 kHz
 * coefficients, direct form I, gated 400 ms blocks); closed-form sines; and what a room asks for:
 * noise is never lifted, a shout leaves no hole, a step of the level settles in seconds.
 * The voice is modulated noise: four syllables a second of uneven height, a pause every few
 * seconds. */
#include "ae_leveller.h"

#include <stdlib.h>
#include <string.h>

#include "ae_math.h"
#include "ae_test.h"

enum { k_rate = 48000, k_seconds = 80, k_frames = k_rate * k_seconds };
static const double k_two_pi = 6.283185307179586;
static const float k_target_lufs = -18.0f;
static float input[k_frames], output[k_frames];
static float gain_db[k_seconds * 100]; /* after each block */

/* ---- signals ---- */

static void silence(float *out, int frames) { memset(out, 0, (size_t)frames * sizeof *out); }

/* Adds low-passed noise of about rms_dbfs. */
static void add_noise(float *out, int frames, float rms_dbfs, uint32_t seed)
{
    const float scale = ae_amplitude_from_db(rms_dbfs) * 4.1f; /* undoes the filter and 1/sqrt(3) */
    float low = 0.0f;
    for (int n = 0; n < frames; n++) {
        low += 0.3f * (ae_random(&seed) - low);
        out[n] += scale * low;
    }
}

static void add_voice(float *out, int rate, int frames, float level_db, uint32_t seed)
{
    const float scale = ae_amplitude_from_db(level_db);
    const int syllable = rate / 4;
    float low = 0.0f, height = 1.0f;
    for (int n = 0; n < frames; n++) {
        const int number = n / syllable;
        if (n % syllable == 0) height = 1.0f + 0.5f * ae_random(&seed);
        const float phase = (float)(n % syllable) / (float)syllable;
        const float envelope =
            number % 12 < 10 ? sinf(k_ae_pi * phase) * sinf(k_ae_pi * phase) : 0.0f;
        low += 0.3f * (ae_random(&seed) - low);
        out[n] += scale * height * envelope * low;
    }
}

/* ---- an independent meter ---- */

static double weighted_energy[k_frames / 480];

static void weigh(const float *x, int frames)
{
    static const double b1[3] = {1.53512485958697, -2.69169618940638, 1.19839281085285};
    static const double a1[2] = {-1.69065929318241, 0.73248077421585};
    static const double a2[2] = {-1.99004745483398, 0.99007225036621};
    double x1 = 0, x2 = 0, y1 = 0, y2 = 0, z1 = 0, z2 = 0;
    for (int b = 0; b < frames / 480; b++) {
        double sum = 0.0;
        for (int i = 0; i < 480; i++) {
            const double v = (double)x[b * 480 + i];
            const double y = b1[0] * v + b1[1] * x1 + b1[2] * x2 - a1[0] * y1 - a1[1] * y2;
            const double z = y - 2.0 * y1 + y2 - a2[0] * z1 - a2[1] * z2;
            x2 = x1, x1 = v, y2 = y1, y1 = y, z2 = z1, z1 = z;
            sum += z * z;
        }
        weighted_energy[b] = sum / 480.0;
    }
}

static double window_power(int block)
{
    double sum = 0.0;
    for (int i = 0; i < 40; i++) sum += weighted_energy[block + i];
    return sum / 40.0;
}

static double lufs(double power) { return -0.691 + 10.0 * log10(power + 1e-20); }

/* Gated loudness of x between two times. */
static double loudness(const float *x, double from_s, double to_s)
{
    const int first = (int)(from_s * 100.0), last = (int)(to_s * 100.0) - 40;
    weigh(x, (int)(to_s * k_rate));
    double gate_lufs = -70.0, power = 0.0;
    for (int pass = 0; pass < 2; pass++) {
        double sum = 0.0;
        int count = 0;
        for (int b = first; b <= last; b += 10) {
            if (lufs(window_power(b)) <= gate_lufs) continue;
            sum += window_power(b);
            count++;
        }
        power = count > 0 ? sum / count : 0.0;
        gate_lufs = lufs(power) - 10.0;
    }
    return lufs(power);
}

static double loudest_window(const float *x, double from_s, double to_s)
{
    double loudest = -200.0;
    weigh(x, (int)(to_s * k_rate));
    for (int b = (int)(from_s * 100.0); b <= (int)(to_s * 100.0) - 40; b++) {
        loudest = fmax(loudest, lufs(window_power(b)));
    }
    return loudest;
}

/* ---- running ---- */

static ae_leveller *make(int rate, int channels)
{
    ae_leveller_config config = ae_leveller_default_config(rate);
    config.channels = channels;
    config.target_lufs = k_target_lufs;
    ae_leveller *self = NULL;
    CHECK(ae_leveller_create(&self, &config) == AE_OK);
    return self;
}

/* input[] to output[], one channel; fills gain_db[]. */
static void run(ae_leveller *self, int rate, int frames, float speech_probability)
{
    const int block = ae_block_frames(rate);
    for (int b = 0; b < frames / block; b++) {
        const float *in[1] = {input + b * block};
        float *out[1] = {output + b * block};
        ae_leveller_process(self, in, speech_probability, out);
        ae_leveller_report report;
        ae_leveller_read(self, &report);
        gain_db[b] = report.gain_db;
    }
}

static void run_once(double seconds)
{
    ae_leveller *self = make(k_rate, 1);
    run(self, k_rate, (int)(seconds * k_rate), -1.0f);
    ae_leveller_destroy(self);
}

static float mean_gain(double from_s, double to_s)
{
    const int first = (int)(from_s * 100.0), last = (int)(to_s * 100.0);
    float sum = 0.0f;
    for (int b = first; b < last; b++) sum += gain_db[b];
    return sum / (float)(last - first);
}

/* Seconds after from_s until the gain is within 2 dB of its mean over the last 5 s, for good. */
static double settled_after(double from_s, double to_s)
{
    const float wanted = mean_gain(to_s - 5.0, to_s);
    int last_off = (int)(from_s * 100.0);
    for (int b = last_off; b < (int)(to_s * 100.0); b++) {
        if (fabsf(gain_db[b] - wanted) > 2.0f) last_off = b;
    }
    return last_off / 100.0 - from_s;
}

/* ---- tests ---- */

static void test_speech_reaches_the_target(void)
{
    static const float levels_db[] = {-28.0f, -8.0f, 12.0f}; /* about -44, -24, -4 LUFS */
    for (int i = 0; i < 3; i++) {
        silence(input, k_frames);
        add_voice(input, k_rate, 20 * k_rate, levels_db[i], 7);
        add_noise(input, 20 * k_rate, levels_db[i] - 50.0f, 8);
        run_once(20.0);
        CHECK_NEAR(loudness(output, 4.0, 20.0), k_target_lufs, 1.0);
        CHECK(settled_after(0.0, 20.0) < 2.5);
    }
}

static void test_every_rate_gives_the_same_gain(void)
{
    static const int rates[] = {8000, 11025, 16000, 22050, 32000, 44100, 48000, 96000};
    float first = 0.0f;
    for (int i = 0; i < 8; i++) {
        const int frames = 12 * rates[i];
        silence(input, frames);
        /* Tones at 300 .. 700 Hz sound the same at every rate. */
        for (int n = 0; n < frames; n++) {
            const double t = n / (double)rates[i];
            const double envelope = pow(sin(k_two_pi * 2.0 * t), 2.0);
            input[n] =
                (float)(0.01 * envelope * (sin(k_two_pi * 310.0 * t) + sin(k_two_pi * 680.0 * t)));
        }
        ae_leveller *self = make(rates[i], 1);
        run(self, rates[i], frames, -1.0f);
        ae_leveller_destroy(self);
        if (i == 0) first = gain_db[1100];
        CHECK_NEAR(gain_db[1100], first, 0.5);
    }
    CHECK(first > 12.0f && first < 30.0f);
}

static void test_steps_settle(void)
{
    for (int up = 0; up < 2; up++) {
        silence(input, k_frames);
        add_voice(input, k_rate, 15 * k_rate, up ? -24.0f : -4.0f, 3);
        add_voice(input + 15 * k_rate, k_rate, 15 * k_rate, up ? -4.0f : -24.0f, 4);
        run_once(30.0);
        const double seconds = settled_after(15.0, 30.0);
        CHECK(seconds < (up ? 3.0 : 3.5));
        CHECK_NEAR(mean_gain(25.0, 30.0) - mean_gain(10.0, 15.0), up ? -20.0 : 20.0, 1.5);
        /* The guard holds the louder voice from the first syllable on. */
        if (up) CHECK(loudest_window(output, 15.5, 18.0) < (double)k_target_lufs + 6.0);
    }
}

static void test_a_shout_is_held_and_leaves_no_hole(void)
{
    silence(input, k_frames);
    add_voice(input, k_rate, 20 * k_rate, -14.0f, 5);
    for (int n = 10 * k_rate; n < (int)(11.5 * k_rate); n++) input[n] *= 8.0f; /* +18 dB */
    run_once(20.0);
    const float before = mean_gain(8.0, 9.8);
    CHECK(mean_gain(12.0, 14.0) > before - 1.0f);
    CHECK(mean_gain(10.3, 11.3) < before - 9.0f);
    /* Without the limiter: its first syllable stands 22 LU over the target. */
    CHECK(loudest_window(output, 10.0, 11.6) < (double)k_target_lufs + 9.0);
}

static void test_an_impulse_is_forgotten(void)
{
    static float clean_db[1300];
    static const float at_s[] = {10.12f, 10.05f,
                                 12.6f}; /* in a syllable, between two, in a pause */
    for (int i = 0; i < 4; i++) {
        silence(input, k_frames);
        add_voice(input, k_rate, 13 * k_rate, -24.0f, 6);
        uint32_t seed = 5;
        const int start = i > 0 ? (int)(at_s[i - 1] * (float)k_rate) : 0;
        for (int n = start; i > 0 && n < start + k_rate / 50; n++) input[n] = ae_random(&seed);
        run_once(13.0);
        if (i == 0) memcpy(clean_db, gain_db, sizeof clean_db);
        for (int b = start / 480 + 12; b < 1300; b++) CHECK_NEAR(gain_db[b], clean_db[b], 1.0);
    }
}

static void test_noise_is_never_lifted(void)
{
    for (int kind = 0; kind < 4; kind++) {
        silence(input, k_frames);
        const int start = kind == 0 ? 0 : 5 * k_rate; /* from the start, or switched on */
        if (kind < 2) add_noise(input + start, 30 * k_rate, -50.0f, 9);
        for (int n = start; kind >= 2 && n < 30 * k_rate; n++) {
            const double t = n / (double)k_rate;
            for (int h = 1; h < 8; h += kind == 2 ? 2 : 9) { /* hum; a tone */
                input[n] += (float)(0.003 / h * sin(k_two_pi * (kind == 2 ? 50.0 : 997.0) * h * t));
            }
        }
        run_once(30.0);
        for (int b = 0; b < 3000; b++) CHECK(gain_db[b] <= 0.5f);
    }
}

static void test_noise_in_pauses_does_not_rise(void)
{
    silence(input, k_frames);
    add_voice(input, k_rate, 12 * k_rate, -14.0f, 11);
    add_noise(input, 40 * k_rate, -50.0f, 12);
    add_voice(input + 32 * k_rate, k_rate, 8 * k_rate, -14.0f, 13);
    run_once(40.0);
    const float speaking = mean_gain(6.0, 9.0);
    CHECK(speaking > 5.0f);
    for (int b = 1300; b < 3200; b++) CHECK(gain_db[b] < speaking + 0.5f);
    CHECK(mean_gain(16.0, 31.0) < speaking - 3.0f); /* the noise is turned down ... */
    CHECK_NEAR(gain_db[3220], speaking, 1.5);       /* ... and the first syllable is not */
}

static void test_speech_after_a_minute_of_silence(void)
{
    silence(input, k_frames);
    add_voice(input + 60 * k_rate, k_rate, 20 * k_rate, -20.0f, 17);
    run_once(80.0);
    for (int b = 0; b < 6000; b++) CHECK(gain_db[b] == 0.0f);
    CHECK(settled_after(60.0, 80.0) < 2.5);
    CHECK_NEAR(loudness(output, 64.0, 80.0), k_target_lufs, 1.0);
}

/* Power of what is not the sine, relative to the sine, over 4 s. */
static double residual_db(const float *x, double hz)
{
    double s = 0.0, c = 0.0, total = 0.0;
    const int frames = 4 * k_rate;
    for (int n = 0; n < frames; n++) {
        const double phase = k_two_pi * hz * n / k_rate, v = (double)x[n];
        s += v * sin(phase), c += v * cos(phase), total += v * v;
    }
    const double power = 2.0 * (s * s + c * c) / frames; /* hz makes whole periods in 4 s */
    return 10.0 * log10(fmax(total - power, 1e-20) / power);
}

static void test_a_sine_stays_a_sine(void)
{
    for (int i = 0; i < 4; i++) {
        const float amplitude = ae_amplitude_from_db(i < 3 ? -30.0f + 10.0f * (float)i : -3.0f);
        for (int probability = -1; probability < 2; probability += 2) {
            for (int n = 0; n < 12 * k_rate; n++) {
                input[n] = amplitude * (float)sin(k_two_pi * 997.0 * n / k_rate);
            }
            ae_leveller *self = make(k_rate, 1);
            run(self, k_rate, 12 * k_rate, (float)probability);
            ae_leveller_destroy(self);
            CHECK(residual_db(output + 8 * k_rate, 997.0) < -90.0);
        }
    }
}

static void test_probability_decides(void)
{
    silence(input, k_frames);
    add_voice(input, k_rate, 12 * k_rate, -28.0f, 19);
    ae_leveller *self = make(k_rate, 1);
    run(self, k_rate, 12 * k_rate, 0.0f); /* "this is not speech": nothing is lifted */
    for (int b = 0; b < 1200; b++) CHECK(gain_db[b] <= 0.0f);
    ae_leveller_reset(self);
    run(self, k_rate, 12 * k_rate, 1.0f);
    CHECK_NEAR(loudness(output, 4.0, 12.0), k_target_lufs, 1.0);
    ae_leveller_destroy(self);
}

/* A music bed 10 dB under the voice, alone for 8 s: a quiet talker, unless the noise that a
 * suppressor took away was nearly as loud. */
static void test_removed_noise_is_no_quiet_talker(void)
{
    for (int known = 0; known < 2; known++) {
        silence(input, k_frames);
        add_voice(input, k_rate, 10 * k_rate, -14.0f, 6);
        add_voice(input + 10 * k_rate, k_rate, 8 * k_rate, -24.0f, 8);
        ae_leveller *self = make(k_rate, 1);
        if (known) ae_leveller_set_removed_noise_dbfs(self, -35.0f);
        run(self, k_rate, 18 * k_rate, 1.0f);
        const float rise_db = gain_db[1799] - gain_db[990];
        CHECK(known ? rise_db < 4.0f : rise_db > 7.0f);
        ae_leveller_set_removed_noise_dbfs(self, NAN); /* ignored */
        ae_leveller_destroy(self);
    }
}

/* A quieter sound 10 dB under the voice, alone for 8 s, at the probability that music has, or that
 * of speech: music is not lifted and the level stays; a voice over it is brought to the target. */
static void test_music_is_not_lifted(void)
{
    for (int flagged = 0; flagged < 2; flagged++) {
        silence(input, k_frames);
        add_voice(input, k_rate, 10 * k_rate, -14.0f, 6);
        add_voice(input + 10 * k_rate, k_rate, 8 * k_rate, -24.0f, 8);
        ae_leveller *self = make(k_rate, 1);
        run(self, k_rate, 10 * k_rate, 1.0f);
        const float before_db = gain_db[999];
        ae_leveller_set_music(self, flagged);
        ae_leveller_report report;
        float highest_db = before_db;
        for (int b = 1000; b < 1800; b++) {
            const float *in[1] = {input + b * 480};
            float *out[1] = {output + b * 480};
            ae_leveller_process(self, in, 0.5f, out);
            ae_leveller_read(self, &report);
            highest_db = fmaxf(highest_db, report.gain_db);
        }
        CHECK(flagged ? highest_db < before_db + 0.1f : highest_db > before_db + 6.0f);
        ae_leveller_destroy(self);
    }
    silence(input, k_frames);
    add_voice(input, k_rate, 12 * k_rate, -24.0f, 6);
    ae_leveller *self = make(k_rate, 1);
    ae_leveller_set_music(self, 1);
    run(self, k_rate, 12 * k_rate, 0.95f);
    CHECK_NEAR(loudness(output, 4.0, 12.0), k_target_lufs, 1.0);
    ae_leveller_reset(self); /* forgets the flag */
    run(self, k_rate, 12 * k_rate, 0.5f);
    CHECK_NEAR(loudness(output, 4.0, 12.0), k_target_lufs, 1.0);
    ae_leveller_destroy(self);
}

static ae_leveller *make_known(float initial_gain_db)
{
    ae_leveller_config config = ae_leveller_default_config(k_rate);
    config.target_lufs = k_target_lufs;
    config.initial_gain_db = initial_gain_db;
    ae_leveller *self = NULL;
    CHECK(ae_leveller_create(&self, &config) == AE_OK);
    return self;
}

/* The voice gain of one session, handed to the next: on target from the first 0.4 s on. One that is
 * wrong by 10 dB (another microphone) is left within the time that a new talker takes. */
static void test_a_known_talker_starts_on_target(void)
{
    static const float levels_db[] = {-24.0f, 8.0f}; /* lifted; turned down */
    for (int i = 0; i < 2; i++) {
        silence(input, k_frames);
        add_voice(input, k_rate, 20 * k_rate, levels_db[i], 7);
        add_noise(input, 20 * k_rate, levels_db[i] - 50.0f, 8);
        ae_leveller *first = make(k_rate, 1);
        run(first, k_rate, 20 * k_rate, -1.0f);
        ae_leveller_report report;
        ae_leveller_read(first, &report);
        const float kept_db = report.voice_gain_db;
        ae_leveller_destroy(first);

        ae_leveller *next = make_known(kept_db);
        run(next, k_rate, 20 * k_rate, -1.0f);
        const float wanted_db = mean_gain(5.0, 20.0);
        for (int b = 0; b < 300; b++) CHECK_NEAR(gain_db[b], wanted_db, 2.0);
        ae_leveller_reset(next);
        ae_leveller_read(next, &report);
        CHECK(report.gain_db == kept_db && report.voice_gain_db == kept_db);
        ae_leveller_destroy(next);

        for (int sign = -1; sign <= 1; sign += 2) {
            ae_leveller *wrong = make_known(kept_db + 10.0f * (float)sign);
            run(wrong, k_rate, 20 * k_rate, -1.0f);
            CHECK(settled_after(0.0, 20.0) < 4.0);
            CHECK_NEAR(loudness(output, 6.0, 20.0), k_target_lufs, 1.0);
            ae_leveller_destroy(wrong);
        }
    }
}

/* What a listener would take for pumping: the gain on a steady voice, block by block and over 1 s.
 */
static void test_a_steady_voice_is_not_pumped(void)
{
    silence(input, k_frames);
    add_voice(input, k_rate, 40 * k_rate, -20.0f, 9);
    add_noise(input, 40 * k_rate, -70.0f, 10);
    run_once(40.0);
    int fast = 0;
    for (int b = 1000; b < 4000; b++) {
        CHECK(fabsf(gain_db[b] - gain_db[b - 1]) <= 0.121f);
        fast += fabsf(gain_db[b] - gain_db[b - 100]) > 1.2f;
    }
    CHECK(fast < 150); /* 5 % */
}

/* A talker who sways, +-6 dB within 12 s: the gain follows, though slowly, for it must not pump. */
static void test_distance_is_followed(void)
{
    silence(input, k_frames);
    add_voice(input, k_rate, 48 * k_rate, -20.0f, 12);
    double before[2], after[2];
    for (int n = 0; n < 48 * k_rate; n++) {
        const double phase = k_two_pi * n / (12.0 * k_rate);
        input[n] *= (float)pow(10.0, 0.3 * sin(phase));
    }
    run_once(48.0);
    for (int far = 0; far < 2; far++) { /* the loud and the soft quarter of a turn */
        before[far] = after[far] = 0.0;
        for (int turn = 1; turn < 4; turn++) {
            const double from = 12.0 * turn + (far ? 7.5 : 1.5);
            before[far] += loudness(input, from, from + 3.0) / 3.0;
            after[far] += loudness(output, from, from + 3.0) / 3.0;
        }
    }
    CHECK(after[0] - after[1] < 0.85 * (before[0] - before[1]));
}

/* After a pause in noise the gain is back within 30 ms of the first block that is speech. */
static void test_the_first_syllable_after_a_pause_is_not_cut(void)
{
    silence(input, k_frames);
    add_voice(input, k_rate, 12 * k_rate, -14.0f, 11);
    add_noise(input, 25 * k_rate, -50.0f, 12);
    add_voice(input + 20 * k_rate, k_rate, 5 * k_rate, -14.0f, 13);
    ae_leveller *self = make(k_rate, 1);
    int speech_at = 0;
    float lowest_db = 0.0f;
    for (int b = 0; b < 2500; b++) {
        const float *in[1] = {input + b * 480};
        float *out[1] = {output + b * 480};
        ae_leveller_process(self, in, -1.0f, out);
        ae_leveller_report report;
        ae_leveller_read(self, &report);
        if (b == 1990) lowest_db = report.gain_db - report.voice_gain_db;
        if (b > 2000 && report.speech && speech_at == 0) speech_at = b;
        if (b == speech_at + 2 && speech_at > 0)
            CHECK_NEAR(report.gain_db + report.guard_reduction_db, report.voice_gain_db, 0.5);
    }
    CHECK(lowest_db < -4.0f && speech_at > 2000 && speech_at < 2010);
    ae_leveller_destroy(self);
}

static void test_one_gain_for_all_channels(void)
{
    silence(input, k_frames);
    add_voice(input, k_rate, 5 * k_rate, -20.0f, 23);
    ae_leveller *self = make(k_rate, 2);
    for (int b = 0; b < 500; b++) {
        float left[480], right[480];
        for (int i = 0; i < 480; i++) {
            left[i] = input[b * 480 + i];
            right[i] = -0.25f * left[i];
        }
        const float *in[2] = {left, right};
        float *out[2] = {left, right}; /* in place */
        ae_leveller_process(self, in, -1.0f, out);
        for (int i = 0; i < 480; i++) CHECK(right[i] == -0.25f * left[i]);
    }
    ae_leveller_destroy(self);
}

static void test_in_place_reset_and_independence(void)
{
    static float expected[10 * k_rate];
    silence(input, k_frames);
    add_voice(input, k_rate, 10 * k_rate, -20.0f, 29);
    ae_leveller *self = make(k_rate, 1), *other = make(k_rate, 1);
    run(self, k_rate, 10 * k_rate, -1.0f);
    memcpy(expected, output, sizeof expected);

    ae_leveller_reset(self);
    memcpy(output, input, sizeof expected);
    for (int b = 0; b < 1000; b++) {
        static float loud[480] = {1.0f, -1.0f};
        const float *in[1] = {output + b * 480}, *noise[1] = {loud};
        float *out[1] = {output + b * 480}, *rest[1] = {loud};
        ae_leveller_process(self, in, -1.0f, out);
        ae_leveller_process(other, noise, 1.0f, rest);
    }
    CHECK(memcmp(expected, output, sizeof expected) == 0);
    ae_leveller_destroy(self);
    ae_leveller_destroy(other);
}

static void test_bad_weather(void)
{
    for (int kind = 0; kind < 5; kind++) {
        silence(input, k_frames);
        uint32_t seed = 31;
        for (int n = 0; n < 10 * k_rate; n++) {
            const float random = ae_random(&seed);
            input[n] = kind == 0   ? 64.0f * random
                       : kind == 1 ? (n / 24000 % 2 ? 64.0f : -64.0f)
                       : kind == 2 ? 1e-40f * random
                       : kind == 3 ? (n % 4801 == 0 ? 64.0f : 0.0f)
                                   : 0.5f;
        }
        add_voice(input + 10 * k_rate, k_rate, 20 * k_rate, -14.0f, 37);
        run_once(30.0);
        float largest = 0.0f;
        for (int n = 0; n < 30 * k_rate; n++) {
            CHECK(isfinite(output[n]));
            largest = fmaxf(largest, fabsf(output[n]));
        }
        CHECK(largest < 128.0f);
        CHECK_NEAR(loudness(output, 16.0, 30.0), k_target_lufs, 1.0); /* well again after 6 s */
    }
}

static void test_ten_minutes_of_noise_then_speech(void)
{
    enum { rate = 8000, block = 80, minute = 60 * rate };
    ae_leveller *self = make(rate, 1);
    for (int m = 0; m < 10; m++) {
        silence(input, minute);
        add_noise(input, minute, -45.0f, 41 + (uint32_t)m);
        run(self, rate, minute, -1.0f);
        for (int b = 0; b < minute / block; b++) CHECK(gain_db[b] <= 0.5f);
    }
    silence(input, minute);
    add_noise(input, 15 * rate, -45.0f, 51);
    add_voice(input, rate, 15 * rate, -14.0f, 52);
    run(self, rate, 15 * rate, -1.0f);
    CHECK(settled_after(0.0, 15.0) < 4.0);
    ae_leveller_destroy(self);
}

static void test_target_steps_do_not_click(void)
{
    for (int n = 0; n < 20 * k_rate; n++) { /* a beating tone, so that it counts as speech */
        const double t = n / (double)k_rate;
        input[n] = (float)(0.1 * sin(k_two_pi * 200.0 * t) * pow(sin(k_two_pi * 1.7 * t), 2.0));
    }
    ae_leveller *self = make(k_rate, 1);
    for (int b = 0; b < 2000; b++) {
        if (b >= 500 && b % 100 == 0) {
            ae_leveller_set_target_lufs(self, b % 200 ? -12.0f : -30.0f);
        }
        const float *in[1] = {input + b * 480};
        float *out[1] = {output + b * 480};
        ae_leveller_process(self, in, 1.0f, out);
    }
    /* A sample-to-sample jump of the tone is at most its peak times 2 pi 200 / 48000. The gain may
     * add 0.9 dB per block, which is 0.0003 of the peak per sample. */
    float largest = 0.0f, jump = 0.0f;
    for (int n = 1; n < 20 * k_rate; n++) {
        largest = fmaxf(largest, fabsf(output[n]));
        jump = fmaxf(jump, fabsf(output[n] - output[n - 1]));
    }
    CHECK(jump < largest * 0.027f);
    ae_leveller_set_target_lufs(self, NAN); /* ignored */
    ae_leveller_set_target_lufs(self, -1000.0f);
    ae_leveller_destroy(self);
}

static void test_nothing_is_allocated(void)
{
    ae_leveller *self = make(k_rate, 1);
    const uint64_t before = ae_allocation_count();
    silence(input, k_rate);
    add_voice(input, k_rate, k_rate, -20.0f, 61);
    run(self, k_rate, k_rate, -1.0f);
    ae_leveller_reset(self);
    CHECK(ae_allocation_count() == before);
    CHECK(ae_leveller_latency_frames(self) == 0);
    ae_leveller_destroy(self);
    ae_leveller_destroy(NULL);
}

static void check_refused(ae_leveller_config config)
{
    ae_leveller *self = (ae_leveller *)&input;
    CHECK(ae_leveller_create(&self, &config) == AE_ERROR_ARGUMENT && self == NULL);
}

static void test_configuration_is_checked(void)
{
    const float bad[] = {NAN, INFINITY, -INFINITY, 100.0f, -100.0f};
    for (int field = 0; field < 6; field++) {
        for (int i = 0; i < 5; i++) {
            ae_leveller_config config = ae_leveller_default_config(k_rate);
            float *fields[6] = {&config.target_lufs,        &config.max_gain_db,
                                &config.min_gain_db,        &config.initial_gain_db,
                                &config.pause_reduction_db, &config.ceiling_dbtp};
            *fields[field] = bad[i];
            check_refused(config);
        }
    }
    const int formats[][2] = {{7999, 1}, {96001, 1}, {48000, 0}, {48000, 9}};
    for (int i = 0; i < 4; i++) {
        ae_leveller_config config = ae_leveller_default_config(formats[i][0]);
        config.channels = formats[i][1];
        check_refused(config);
    }
}

int main(void)
{
    test_speech_reaches_the_target();
    test_every_rate_gives_the_same_gain();
    test_steps_settle();
    test_a_shout_is_held_and_leaves_no_hole();
    test_an_impulse_is_forgotten();
    test_noise_is_never_lifted();
    test_noise_in_pauses_does_not_rise();
    test_speech_after_a_minute_of_silence();
    test_a_sine_stays_a_sine();
    test_probability_decides();
    test_removed_noise_is_no_quiet_talker();
    test_music_is_not_lifted();
    test_a_known_talker_starts_on_target();
    test_a_steady_voice_is_not_pumped();
    test_distance_is_followed();
    test_the_first_syllable_after_a_pause_is_not_cut();
    test_one_gain_for_all_channels();
    test_in_place_reset_and_independence();
    test_bad_weather();
    test_ten_minutes_of_noise_then_speech();
    test_target_steps_do_not_click();
    test_nothing_is_allocated();
    test_configuration_is_checked();
    return AE_TEST_RESULT();
}
