/* ae_speech_loudness.c - see ae_speech_loudness.h. All figures marked (measured) come from recorded
 * speech of some 50 talkers, one block = 10 ms. */
#include "ae_speech_loudness.h"

#include "ae_kweight.h"
#include "ae_math.h"

/* Noise floor */
static const double k_floor_smoothing = 0.22;  /* per block: 40 ms */
static const int k_floor_span_blocks = 40;     /* longer than a syllable */
static const double k_floor_bias = 2.0;        /* mean over minimum of 40 ms noise energies: 3 dB */
static const double k_floor_rise = 2.0;        /* at most, per span: long sentences have few gaps */
static const double k_floor_rise_from = 1e-9;  /* -90 dB: digital silence is left at once */
static const int k_floor_spans_for_second = 4; /* below, too few to drop the lowest one */

/* Speech decision */
static const double k_speech_over_floor = 3.2; /* 5 dB over the mean noise */
static const double k_tail_over_floor = 1.6;   /* 2 dB: word tails */
static const float k_speech_least_lufs = -66.0f;
static const int k_hangover_blocks = 12; /* 120 ms: gaps inside words */
/* Low: the rules below look twice, and a syllable that is lost in noise pulls the level up. */
static const float k_speech_probability = 0.2f;
/* Beside music: bars of a synthetic band lie at 0.5, speech over them at 0.95 (means, measured). */
static const float k_sure_probability = 0.8f;
static const float k_probability_decay = 0.05f; /* per block: 200 ms */

/* Fluctuation: standard deviation of the 40 ms level. Noise stays under 0.65 dB, 99 % of speech is
 * over 0.9 dB (measured). */
static const int k_onset_blocks = 12;      /* the smoothed level still climbs: do not count it */
static const int k_fluctuation_least = 15; /* blocks for a first answer */
static const float k_ended_db = 3.0f;      /* a sound that ends falls by this at least */
static const int k_sound_blocks = 8;       /* a shorter one is a click, its end proves nothing */
static const float k_fluctuation_db = 0.8f;
static const int k_confirmed_blocks = 100; /* 1 s: bridges the gap to the next word */

/* Level */
static const int k_syllable_blocks = 10;       /* 0.1 s */
static const int k_window_speech_blocks = 8;   /* of 40, the least for a window to count */
static const double k_voice_share_least = 0.1; /* of a window's power, whatever the floor says */
/* Windows below these ratios to the noise, and to what was suppressed, do not pull the level down.
 */
static const double k_window_snr = 0.4, k_window_removed_snr = 0.75;
static const double k_kept_least = 0.7;    /* make up for at most 1.5 dB of limiting */
static const float k_gate_lu = 10.0f;      /* BS.1770-5 relative gate */
static const int k_gate_from_windows = 30; /* the first 0.3 s pass the gate */
static const float k_burst_lu = 8.0f;      /* so far up: a shout or a step (1 %, measured) */
static const int k_memory_windows = 600;   /* 6 s: shorter pumps, longer is late */
static const int k_young_windows = 150;    /* 1.5 s: until then a louder voice is believed */
static const double k_young_share = 0.7;   /* ... by this share: syllable peaks run high */
static const int k_expected_windows = 150; /* 1.5 s: weight of a voice known from before */
static const int k_restart_windows = 50;   /* 0.5 s: weight of the new level after a step */

/* Step up: so many of the recent windows are so far over the level (never in steady speech,
 * measured), and the last 0.3 s are not the quiet words after a shout. */
static const float k_up_share = 0.8f;
static const float k_up_lu = 2.0f;
static const int k_up_mean_blocks = 150;
static const int k_up_now_blocks = 30;
static const float k_up_now_lu = 5.5f;

/* Step down: means over so many blocks are so far under it (1 % of steady speech, measured). The
 * halves may not differ much: a dying tail, a rising word. The mean must be far over the
 * noise: music or babble under the voice is not a quiet talker. */
static const double k_recent_least_share = 0.03; /* of the window: a block below is a gap */
static const float k_down_lu[2] = {8.0f, 6.0f};
static const float k_down_steady_lu = 4.0f;
static const float k_down_snr_db = 14.0f;
/* A word that only begins proves nothing: it is well under way, it does not rise, and no window of
 * the newer three quarters came near the old level. */
static const int k_down_window_blocks = 30; /* of the window's 40 are speech */
static const int k_down_newest_blocks = 8;
static const float k_down_loudest_lu = 4.0f;
static const int k_down_blocks[2] = {70, 120};

/* Step back: a window nearly as loud as before the step down, soon after it. */
static const int k_return_blocks = 100;   /* 1 s of speech */
static const double k_return_share = 0.8; /* of the power before */

static float lufs_of(double power)
{
    return power > 1e-20 ? (float)ae_lufs_from_mean_square(power) : AE_NO_LOUDNESS_LUFS;
}

/* ---- noise floor ---- */

/* The second lowest span: one dropout, or one gap in babble, is not the floor. */
static double floor_of_spans(const ae_noise_floor *self)
{
    double lowest = self->minimum[0], second = INFINITY;
    for (int i = 1; i < self->filled; i++) {
        const double value = self->minimum[i];
        second = fmin(second, fmax(lowest, value));
        lowest = fmin(lowest, value);
    }
    return self->filled < k_floor_spans_for_second ? lowest : second;
}

static void update_floor(ae_noise_floor *self, double power)
{
    if (self->filled == 0 && self->span_blocks == 0) {
        self->smoothed = self->span_minimum = power;
        self->power = k_floor_bias * power;
    }
    self->smoothed += k_floor_smoothing * (power - self->smoothed);
    self->span_minimum = fmin(self->span_minimum, self->smoothed);
    if (self->filled < k_floor_spans_for_second)
        self->power = fmin(self->power, k_floor_bias * self->smoothed);
    if (++self->span_blocks < k_floor_span_blocks) return;

    self->minimum[self->next] = self->span_minimum;
    self->next = (self->next + 1) % AE_FLOOR_SPANS;
    if (self->filled < AE_FLOOR_SPANS) self->filled++;
    const double found = k_floor_bias * floor_of_spans(self);
    const int limited = self->power > k_floor_rise_from;
    self->power = limited ? fmin(found, k_floor_rise * self->power) : found;
    self->span_minimum = self->smoothed;
    self->span_blocks = 0;
}

/* ---- speech decision ---- */

/* Loudest block of the sound so far, as far back as the ring goes. */
static float loudest_of_sound(const ae_level_fluctuation *self)
{
    const int count = ae_clamp_int(self->active_blocks, 0, AE_FLUCTUATION_BLOCKS);
    float loudest = AE_NO_LOUDNESS_LUFS;
    for (int age = 1; age <= count; age++) {
        const int slot = (self->next + AE_FLUCTUATION_BLOCKS - age) % AE_FLUCTUATION_BLOCKS;
        loudest = ae_max(loudest, self->level_lufs[slot]);
    }
    return loudest;
}

/* 1: moves like a voice, -1: stands still, 0: too early to tell. A sound that ends has moved; one
 * that the floor has only risen to has not. */
static int judge_fluctuation(ae_level_fluctuation *self, float level_lufs, int sounding)
{
    const int ended = !sounding && self->active_blocks >= k_sound_blocks &&
                      level_lufs < loudest_of_sound(self) - k_ended_db;
    self->active_blocks = sounding ? self->active_blocks + 1 : 0;
    if (ended) return 1;
    self->level_lufs[self->next] = level_lufs;
    self->next = (self->next + 1) % AE_FLUCTUATION_BLOCKS;
    const int count = ae_clamp_int(self->active_blocks - k_onset_blocks, 0, AE_FLUCTUATION_BLOCKS);
    if (count < k_fluctuation_least) return 0;

    float sum = 0.0f, squares = 0.0f;
    for (int age = 1; age <= count; age++) {
        const int slot = (self->next + AE_FLUCTUATION_BLOCKS - age) % AE_FLUCTUATION_BLOCKS;
        const float off = self->level_lufs[slot] - level_lufs;
        sum += off;
        squares += off * off;
    }
    const float mean = sum / (float)count;
    const float variance = squares / (float)count - mean * mean;
    return variance >= k_fluctuation_db * k_fluctuation_db ? 1 : -1;
}

static int probably_speech(ae_speech_decision *self, float speech_probability, int music)
{
    if (!(speech_probability >= 0.0f)) return !music; /* NaN is not known either */
    if (speech_probability > self->held_probability)
        self->held_probability = speech_probability;
    else
        self->held_probability +=
            k_probability_decay * (speech_probability - self->held_probability);
    return self->held_probability >= (music ? k_sure_probability : k_speech_probability);
}

static void decide_speech(ae_speech_loudness *self, float speech_probability, int music)
{
    ae_speech_decision *decision = &self->decision;
    const double power = self->floor.smoothed, noise = self->floor.power;
    const float level_lufs = lufs_of(power);
    int speech = power > k_speech_over_floor * noise && level_lufs > k_speech_least_lufs;
    const int tail = decision->hangover_blocks > 0 && power > k_tail_over_floor * noise;
    const int verdict = judge_fluctuation(&self->fluctuation, level_lufs, speech || tail);
    if (!probably_speech(decision, speech_probability, music) || verdict < 0) {
        speech = 0;
        decision->hangover_blocks = 0;
    }
    if (speech)
        decision->hangover_blocks = k_hangover_blocks;
    else if (decision->hangover_blocks > 0)
        decision->hangover_blocks--;
    decision->active = speech || (decision->hangover_blocks > 0 && tail);
    decision->pause_blocks = decision->active ? 0 : decision->pause_blocks + 1;
    if (verdict > 0)
        decision->confirmed_blocks = k_confirmed_blocks;
    else if (decision->confirmed_blocks > 0)
        decision->confirmed_blocks--;
}

/* ---- the 400 ms window ---- */

static void push_window(ae_speech_window *self, const ae_speech_block *block, double noise,
                        int active)
{
    self->energy[self->next] = block->power - noise;
    self->kept_energy[self->next] = (block->power - noise) * block->kept_share;
    self->active[self->next] = active;
    self->next = (self->next + 1) % AE_SPEECH_WINDOW_BLOCKS;
    /* The first window grows from the first speech on: a first value after 0.1 s, not 0.4 s. */
    if ((self->filled > 0 || active) && self->filled < AE_SPEECH_WINDOW_BLOCKS) self->filled++;

    double sum = 0.0, kept = 0.0, newest = 0.0;
    self->speech_blocks = 0;
    for (int age = 1; age <= self->filled; age++) {
        const int slot = (self->next + AE_SPEECH_WINDOW_BLOCKS - age) % AE_SPEECH_WINDOW_BLOCKS;
        sum += self->energy[slot];
        kept += self->kept_energy[slot];
        self->speech_blocks += self->active[slot];
        if (age <= k_syllable_blocks) newest += self->energy[slot];
    }
    const double mean = self->filled > 0 ? sum / self->filled : 0.0;
    self->power = fmax(mean + noise, 0.0);
    self->syllable_power = fmax(newest / k_syllable_blocks + noise, 0.0);
    self->voice_power = fmax(mean, k_voice_share_least * self->power);
    self->kept_share = sum > 0.0 ? fmax(kept / sum, k_kept_least) : 1.0;
}

static void average_window(ae_speech_level *self, const ae_speech_window *window, double least)
{
    self->counted = 0;
    if (window->speech_blocks < k_window_speech_blocks) return;
    const double power = window->voice_power;
    const float off = lufs_of(power) - lufs_of(self->power);
    if (self->windows >= k_gate_from_windows && off < -k_gate_lu) return;
    if (off < 0.0f && power < least) return;
    if (off > k_burst_lu) {
        if (self->windows >= k_young_windows) return;
        self->power = self->kept_power = k_young_share * power;
        self->windows = 1;
        return;
    }
    if (self->windows < k_memory_windows) self->windows++;
    self->counted = 1;
    self->power += (power - self->power) / self->windows;
    self->kept_power += (power * window->kept_share - self->kept_power) / self->windows;
}

/* ---- steps of the level ---- */

static int recent_slot(const ae_recent_speech *self, int age)
{
    return (self->next + AE_SPEECH_RECENT_BLOCKS - age) % AE_SPEECH_RECENT_BLOCKS;
}

static void push_recent(ae_recent_speech *self, double power, float window_lufs)
{
    self->power[self->next] = power;
    self->window_lufs[self->next] = window_lufs;
    self->next = (self->next + 1) % AE_SPEECH_RECENT_BLOCKS;
    if (self->filled < AE_SPEECH_RECENT_BLOCKS) self->filled++;
}

static double recent_power(const ae_recent_speech *self, int blocks)
{
    double sum = 0.0;
    for (int age = 1; age <= blocks; age++) sum += self->power[recent_slot(self, age)];
    return sum / blocks;
}

static float recent_lufs(const ae_recent_speech *self, int blocks)
{
    return lufs_of(recent_power(self, blocks));
}

/* The voice has been louder for longer than a shout lasts, and still is. */
static int stepped_up(const ae_recent_speech *self, float level_lufs)
{
    if (self->filled < AE_SPEECH_RECENT_BLOCKS) return 0;
    int over = 0;
    for (int i = 0; i < AE_SPEECH_RECENT_BLOCKS; i++)
        over += self->window_lufs[i] > level_lufs + k_up_lu;
    if ((float)over < k_up_share * (float)AE_SPEECH_RECENT_BLOCKS) return 0;
    const float mean_lufs = recent_lufs(self, k_up_mean_blocks);
    return mean_lufs > level_lufs && recent_lufs(self, k_up_now_blocks) > mean_lufs - k_up_now_lu;
}

/* The voice has been far quieter for longer than sentences go without a loud word. */
static int stepped_down(const ae_recent_speech *self, float level_lufs, float noise_lufs,
                        int blocks, float least_lu)
{
    if (self->filled < blocks) return 0;
    for (int age = 1; age <= blocks * 3 / 4; age++) {
        if (self->window_lufs[recent_slot(self, age)] > level_lufs - k_down_loudest_lu) return 0;
    }
    const double mean = recent_power(self, blocks), newer = recent_power(self, blocks / 2);
    const double older = 2.0 * mean - newer;
    const float mean_lufs = lufs_of(mean);
    if (recent_lufs(self, k_down_newest_blocks) > mean_lufs) return 0;
    return mean_lufs < level_lufs - least_lu && mean_lufs > noise_lufs + k_down_snr_db &&
           lufs_of(fmin(newer, older)) > mean_lufs - k_down_steady_lu;
}

static void move_level(ae_speech_level *self, double power, int windows)
{
    self->kept_power *= power / self->power;
    self->power = power;
    self->windows = windows;
}

static void restart_from_recent(ae_speech_loudness *self, int blocks)
{
    self->level.left_power = self->level.power;
    self->level.left_windows = self->level.windows;
    self->level.left_blocks = 0;
    move_level(&self->level, recent_power(&self->recent, blocks), k_restart_windows);
    self->recent.filled = blocks;
}

/* A window as loud as before the step down, soon after it: those were only quiet words. */
static int came_back(ae_speech_level *self, double window_power)
{
    if (self->left_blocks++ >= k_return_blocks) return 0;
    return self->left_power > self->power && window_power > k_return_share * self->left_power;
}

static void follow_steps(ae_speech_loudness *self, double noise, int music)
{
    if (self->level.windows == 0) return;
    const float level_lufs = lufs_of(self->level.power), noise_lufs = lufs_of(noise);
    if (came_back(&self->level, self->window.voice_power)) {
        move_level(&self->level, self->level.left_power, self->level.left_windows);
        return;
    }
    if (stepped_up(&self->recent, level_lufs)) {
        restart_from_recent(self, k_up_mean_blocks);
        return;
    }
    if (music || self->window.speech_blocks < k_down_window_blocks) return;
    for (int i = 0; i < 2; i++) {
        const int blocks = k_down_blocks[i];
        if (!stepped_down(&self->recent, level_lufs, noise_lufs, blocks, k_down_lu[i])) continue;
        restart_from_recent(self, blocks * 3 / 4); /* the oldest may still be of before the step */
        return;
    }
}

/* ---- the part ---- */

void ae_speech_loudness_reset(ae_speech_loudness *self) { memset(self, 0, sizeof *self); }

void ae_speech_loudness_expect(ae_speech_loudness *self, float lufs)
{
    self->level.power = self->level.kept_power = ae_mean_square_from_lufs((double)lufs);
    self->level.windows = k_expected_windows;
}

void ae_speech_loudness_update(ae_speech_loudness *self, const ae_speech_block *block)
{
    update_floor(&self->floor, block->power);
    decide_speech(self, block->speech_probability, block->music);
    const double noise = self->floor.power, voice = block->power - noise;
    const double room_noise = fmax(noise, block->removed_noise);
    push_window(&self->window, block, noise, self->decision.active);
    average_window(&self->level, &self->window,
                   fmax(k_window_snr * noise, k_window_removed_snr * block->removed_noise));
    if (!self->decision.active || voice <= k_recent_least_share * self->window.voice_power) return;
    push_recent(&self->recent, voice, lufs_of(self->window.voice_power));
    follow_steps(self, room_noise, block->music);
}

float ae_speech_loudness_lufs(const ae_speech_loudness *self)
{
    return self->level.windows > 0 ? lufs_of(self->level.power) : AE_NO_LOUDNESS_LUFS;
}

float ae_speech_loudness_kept_lufs(const ae_speech_loudness *self)
{
    return self->level.windows > 0 ? lufs_of(self->level.kept_power) : AE_NO_LOUDNESS_LUFS;
}

float ae_speech_loudness_window_lufs(const ae_speech_loudness *self)
{
    return lufs_of(self->window.voice_power * self->window.kept_share);
}

float ae_speech_loudness_momentary_lufs(const ae_speech_loudness *self)
{
    return lufs_of(self->window.power);
}

float ae_speech_loudness_syllable_lufs(const ae_speech_loudness *self)
{
    return lufs_of(self->window.syllable_power);
}

float ae_speech_loudness_floor_lufs(const ae_speech_loudness *self)
{
    return lufs_of(self->floor.power);
}
