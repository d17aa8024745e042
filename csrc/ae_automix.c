/* ae_automix.c - see ae_automix.h. Figures marked (measured) come from recorded speech of some 100
 * talkers, noise and music, one block = 10 ms; levels are of the cleaned voice near -18 LUFS. */
#include "ae_automix.h"

#include "ae_math.h"

typedef enum {
    k_no_sound = 0,
    k_weak_sound = 1,  /* keeps open what is open; two in a row open */
    k_sound = 2,       /* opens */
    k_clear_sound = 3, /* may be talk */
} ae_automix_evidence;

/* Hearing */
enum {
    k_segments = 4,           /* of 2.5 ms: their means hold what lies under 150 Hz */
    k_lag_per_second = 16000, /* a difference over about 1/16 ms: the upper treble at any rate */
};
static const float k_power_most = 16.0f;     /* +12 dBFS: as loud as anything counts */
static const float k_silence_power = 1e-10f; /* a gate or a sender's mute: says nothing of noise */
static const float k_attack = 0.6f, k_release = 0.15f; /* per block */
static const float k_held_release = 0.04f; /* 250 ms: a gap between syllables is no lower voice */

/* Noise */
enum {
    k_span_blocks = 40,
    k_known_blocks = 30, /* a mean and a spread to rely on */
    k_quiet_blocks = 6,  /* after a sound: its tail is no noise */
    k_pause_blocks = 12, /* longer than a gap between syllables */
    k_noise_memory = 33, /* blocks of the mean and the spread */
    k_steady_young = 2,  /* spans until a steady sound is noise: nothing else is known ... */
    k_steady_blocks = 5, /* ... or 2 s: a held note is shorter */
};
static const float k_smoothing = 0.22f; /* 40 ms */
static const float k_bias = 1.6f;       /* mean over minimum of 40 ms noise energies */
static const float k_agree_db = 3.0f;   /* mean and floor */
static const float k_first_spread_db = 2.0f;
static const float k_stopped = 0.1f; /* a block so far under the floor: the noise is gone */
static const float k_rose = 4.0f;    /* 6 dB: the floor has caught up with a sound */

/* What a sound is, per range. Steady noise spreads by 0.4 .. 1 dB (measured). */
typedef struct {
    float least_power;   /* of the floor */
    float unknown_power; /* the highest floor that is believed before 4 s are heard */
    float steady_ratio;  /* maximum over minimum in 0.4 s: noise stays under it, speech never */
    float clear_db;      /* over the noise */
    float open_least_db, open_most_db;
    float weak_least_db, weak_most_db;
    float softest_db; /* dBFS: nothing below opens */
} ae_automix_rules;

static const ae_automix_rules k_body = {2e-7f, 3e-6f, 2.5f, 10.0f, 3.8f, 10.0f, 2.2f, 6.0f, -58.0f};
static const ae_automix_rules k_hiss = {1e-7f, 3e-6f, 1.6f, 8.0f, 3.0f, 7.0f, 1.6f, 4.0f, -62.0f};
static const float k_open_spreads = 6.0f; /* 5 standard deviations */
static const float k_weak_spreads = 4.5f;

/* Speech probability, where there is one */
static const float k_surely = 0.6f;             /* any sound is a clear one */
static const float k_maybe = 0.2f;              /* below, held: no talk */
static const float k_probability_decay = 0.05f; /* per block: 200 ms */
static const float k_freezes_floor = 0.5f;
static const float k_doubt_blocks = 12.0f, k_doubt_most = 20.0f, k_doubt_fall = 0.25f;

/* Talk */
enum {
    k_talk_blocks = 6,   /* a syllable; key strokes and slams are shorter */
    k_fallen_blocks = 2, /* so many under the peak end a sound */
    k_talk_hang = 40,
    k_sound_hang = 10,
    k_cross_blocks = 15, /* another's voice leaks so long after his own last peak */
};
static const float k_lasting_db = 6.0f;
static const float k_no_peak_db = -200.0f;
static const float k_cross_share = 0.125f;    /* -9 dB: a leak, no second talker */
static const float k_cross_decay = 0.9f;      /* per block */
static const float k_cross_late_decay = 0.7f; /* later: leave the next talker his soft onset */

/* Sharing */
enum { k_voice_first_blocks = 50 };
static const float k_voice_step = 1.005f; /* per block: 2 dB/s */
static const float k_voice_over = 4.0f;   /* 6 dB over the room's voice: a slam, a shout, garbage */
static const float k_share_over = 2.0f;   /* 3 dB, where the others' gains depend on it */
static const float k_share_slope = 2.5f;  /* down to 8 dB under the loudest: full gain */
static const float k_share_least = 0.2f;  /* -14 dB: an open one is heard */
static const float k_sum_most =
    1.5f; /* root of the sum of squares of the gains: three talkers lose 1.2 dB */
static const float k_close_step = 0.06f; /* per block: 170 ms */
static const float k_rise_step = 0.25f;  /* of what is open already */
static const float k_closed = 1e-3f;

/* ---- hearing ---- */

/* Sum of squares without the mean of each segment. */
static float body_energy(const float *restrict x, int frames)
{
    float energy = 0.0f;
    for (int s = 0; s < k_segments; s++) {
        const int from = s * frames / k_segments, to = (s + 1) * frames / k_segments;
        float sum = 0.0f, squares = 0.0f;
#pragma omp simd reduction(+ : sum, squares)
        for (int n = from; n < to; n++) {
            sum += x[n];
            squares += x[n] * x[n];
        }
        energy += squares - sum * sum / (float)(to - from);
    }
    return energy;
}

static float hiss_energy(const float *restrict x, int frames, int lag)
{
    float energy = 0.0f;
#pragma omp simd reduction(+ : energy)
    for (int n = lag; n < frames; n++) {
        const float change = x[n] - x[n - lag];
        energy += change * change;
    }
    return energy;
}

/* Mean squares of the two ranges, all channels. */
static void measure(const float *const *in, int channels, int frames, float *body, float *hiss)
{
    const int lag = ae_clamp_int((100 * frames + k_lag_per_second / 2) / k_lag_per_second, 1, 8);
    float body_sum = 0.0f, hiss_sum = 0.0f;
    for (int c = 0; c < channels; c++) {
        body_sum += body_energy(in[c], frames);
        hiss_sum += hiss_energy(in[c], frames, lag);
    }
    const int finite = body_sum <= 3e38f && hiss_sum <= 3e38f;
    *body = finite ? ae_clamp(body_sum / (float)frames, 0.0f, k_power_most) : 0.0f;
    *hiss = finite ? ae_clamp(hiss_sum / (float)(frames - lag), 0.0f, k_power_most) : 0.0f;
}

static int judge(const ae_automix_noise *noise, const ae_automix_rules *rules, int known,
                 float level_db)
{
    const float floor_db = ae_db_from_power(noise->floor);
    float noise_db = floor_db, open_db = rules->open_most_db, weak_db = rules->weak_most_db;
    if (known && fabsf(noise->mean_db - floor_db) < k_agree_db) { /* else the noise has changed */
        noise_db = noise->mean_db;
        open_db = ae_clamp(k_open_spreads * noise->spread_db, rules->open_least_db, open_db);
        weak_db = ae_clamp(k_weak_spreads * noise->spread_db, rules->weak_least_db, weak_db);
    }
    const float over_db = level_db - ae_max(noise_db, rules->softest_db - open_db);
    return over_db > rules->clear_db ? k_clear_sound
           : over_db > open_db       ? k_sound
           : over_db > weak_db       ? k_weak_sound
                                     : k_no_sound;
}

/* What the engine knows of the block changes what it counts for. */
static void weigh_probability(ae_automix_mic *mic, float speech_probability)
{
    if (!(speech_probability >= 0.0f)) {
        mic->held_probability = -1.0f;
        mic->doubt_blocks = 0.0f;
        return;
    }
    const float p = ae_min(speech_probability, 1.0f);
    if (p > mic->held_probability)
        mic->held_probability = p;
    else
        mic->held_probability += k_probability_decay * (p - mic->held_probability);
    mic->doubt_blocks += mic->evidence > k_no_sound ? 1.0f : -k_doubt_fall;
    mic->doubt_blocks = ae_clamp(mic->doubt_blocks, 0.0f, k_doubt_most);
    if (mic->held_probability >= k_maybe) mic->doubt_blocks = 0.0f;
    if (mic->doubt_blocks > k_doubt_blocks) mic->evidence = k_no_sound;
    if (p >= k_surely && mic->evidence > k_no_sound) mic->evidence = k_clear_sound;
}

static void follow_mean(ae_automix_noise *noise, int heard_blocks, float level_db)
{
    if (heard_blocks == 0) {
        noise->mean_db = level_db;
        noise->spread_db = k_first_spread_db;
    }
    const float share = 1.0f / (float)ae_clamp_int(heard_blocks + 1, 1, k_noise_memory);
    const float off_db = level_db - noise->mean_db;
    noise->mean_db += share * off_db;
    noise->spread_db += share * (fabsf(off_db) - noise->spread_db);
}

static void follow_smoothed(ae_automix_noise *noise, const ae_automix_rules *rules, int first,
                            int span_begins, float power)
{
    noise->smoothed += (first ? 1.0f : k_smoothing) * (power - noise->smoothed);
    if (span_begins) noise->span_minimum = noise->span_maximum = noise->smoothed;
    noise->span_minimum = ae_min(noise->span_minimum, noise->smoothed);
    noise->span_maximum = ae_max(noise->span_maximum, noise->smoothed);
    noise->floor = ae_min(noise->floor, k_bias * noise->smoothed);
    noise->floor = ae_max(noise->floor, rules->least_power);
}

static int is_steady(const ae_automix_noise *noise, const ae_automix_rules *rules)
{
    return noise->span_maximum < rules->steady_ratio * noise->span_minimum;
}

static void end_span(ae_automix_noise *noise, const ae_automix_rules *rules, int slot, int filled,
                     int steady)
{
    noise->minimum[slot] = noise->span_minimum;
    if (steady)
        for (int i = 0; i < AE_AUTOMIX_SPANS; i++) noise->minimum[i] = noise->span_minimum;
    float least = noise->span_minimum;
    for (int i = 0; i < filled; i++) least = ae_min(least, noise->minimum[i]);
    const float found = k_bias * least;
    const int young = filled < AE_AUTOMIX_SPANS;
    noise->floor = ae_max(young ? ae_min(found, rules->unknown_power) : found, rules->least_power);
}

/* Nothing is known of the noise (any more). */
static void forget_noise(ae_automix_mic *mic)
{
    mic->body.floor = k_body.unknown_power;
    mic->hiss.floor = k_hiss.unknown_power;
    mic->span_blocks = mic->filled = mic->steady_spans = mic->noise_blocks = 0;
}

void ae_automix_mic_reset(ae_automix_mic *mic)
{
    memset(mic, 0, sizeof *mic);
    forget_noise(mic);
    mic->held_probability = -1.0f;
    mic->peak_db = k_no_peak_db;
}

/* Minimum statistics; a sound that has been steady for long is noise at once. */
static void follow_floor(ae_automix_mic *mic, float body, float hiss)
{
    if (mic->body.floor > k_body.unknown_power && body < k_stopped * mic->body.floor)
        forget_noise(mic);
    const int begins = mic->span_blocks == 0, first = begins && mic->filled == 0;
    follow_smoothed(&mic->body, &k_body, first, begins, body);
    follow_smoothed(&mic->hiss, &k_hiss, first, begins, hiss);
    if (++mic->span_blocks < k_span_blocks) return;

    const int needed = mic->filled < AE_AUTOMIX_SPANS ? k_steady_young : k_steady_blocks;
    const int steady = is_steady(&mic->body, &k_body) && is_steady(&mic->hiss, &k_hiss);
    mic->steady_spans = steady ? ae_clamp_int(mic->steady_spans + 1, 0, needed) : 0;
    const int noise = mic->steady_spans >= needed;
    const float floor_before = mic->body.floor;
    mic->span_blocks = 0;
    mic->filled = noise ? AE_AUTOMIX_SPANS : ae_clamp_int(mic->filled + 1, 0, AE_AUTOMIX_SPANS);
    end_span(&mic->body, &k_body, mic->next, mic->filled, noise);
    end_span(&mic->hiss, &k_hiss, mic->next, mic->filled, noise);
    mic->next = (mic->next + 1) % AE_AUTOMIX_SPANS;
    if (mic->body.floor > k_rose * floor_before && mic->body.smoothed < 2.0f * mic->body.floor) {
        mic->talking = mic->hang_blocks = mic->lasting_blocks = 0; /* that was no voice */
        mic->spoke_at = 0;
    }
}

/* The held level bridges the gaps between syllables, not the pauses. */
static void follow_level(ae_automix_mic *mic)
{
    const float power = mic->power;
    const float held_release = mic->quiet_blocks < k_pause_blocks ? k_held_release : k_release;
    mic->level += (power > mic->level ? k_attack : k_release) * (power - mic->level);
    mic->held_level +=
        (power > mic->held_level ? k_attack : held_release) * (power - mic->held_level);
}

void ae_automix_mic_hear(ae_automix_mic *mic, const float *const *in, int channels, int frames,
                         float speech_probability)
{
    float body, hiss;
    measure(in, channels, frames, &body, &hiss);
    const float hiss_db = ae_db_from_power(hiss);
    const int known = mic->noise_blocks >= k_known_blocks;
    mic->present = 1;
    mic->power = body;
    mic->level_db = ae_db_from_power(body);
    const int of_body = judge(&mic->body, &k_body, known, mic->level_db);
    const int of_hiss = judge(&mic->hiss, &k_hiss, known, hiss_db);
    mic->evidence = of_body > of_hiss ? of_body : of_hiss;
    mic->weak_blocks = mic->evidence > k_no_sound ? ae_clamp_int(mic->weak_blocks + 1, 0, 2) : 0;
    if (mic->evidence == k_weak_sound && mic->weak_blocks > 1) mic->evidence = k_sound;
    const int silent = mic->evidence == k_no_sound;
    weigh_probability(mic, speech_probability);

    mic->quiet_blocks = silent ? ae_clamp_int(mic->quiet_blocks + 1, 0, k_pause_blocks) : 0;
    follow_level(mic);
    if (body <= k_silence_power) return;
    if (mic->quiet_blocks >= k_quiet_blocks) {
        follow_mean(&mic->body, mic->noise_blocks, mic->level_db);
        follow_mean(&mic->hiss, mic->noise_blocks, hiss_db);
        mic->noise_blocks = ae_clamp_int(mic->noise_blocks + 1, 0, k_noise_memory);
    }
    if (!(speech_probability > k_freezes_floor)) follow_floor(mic, body, hiss);
}

void ae_automix_mic_rest(ae_automix_mic *mic)
{
    mic->present = mic->talking = 0;
    mic->evidence = k_no_sound;
    mic->weak_blocks = mic->quiet_blocks = mic->lasting_blocks = mic->hang_blocks = 0;
    mic->peak_db = k_no_peak_db;
    mic->power = mic->level = mic->held_level = 0.0f;
    mic->held_probability = -1.0f;
    mic->doubt_blocks = 0.0f;
}

/* ---- the room ---- */

void ae_automix_reset(ae_automix *self)
{
    memset(self, 0, sizeof *self);
    self->held = self->loudest = -1;
}

/* What a level counts for: without the noise in it, with the priority. */
static float counted(const ae_automix_mic *mic, float level)
{
    const float voice = ae_max(level - mic->body.floor, 0.1f * level);
    return mic->priority_db != 0.0f ? voice * ae_power_from_db(mic->priority_db) : voice;
}

/* A sound that lasts stays near its peak. A key stroke falls at once. */
static void follow_sound(ae_automix_mic *mic, int evidence)
{
    const int clear = evidence == k_clear_sound;
    if (clear && mic->level_db > mic->peak_db - k_lasting_db) {
        mic->lasting_blocks = ae_clamp_int(mic->lasting_blocks + 1, 0, k_talk_blocks);
        mic->peak_db =
            mic->lasting_blocks > 1 ? ae_max(mic->peak_db, mic->level_db) : mic->level_db;
        mic->fallen_blocks = 0;
    } else if (++mic->fallen_blocks >= k_fallen_blocks) {
        mic->fallen_blocks = k_fallen_blocks;
        mic->lasting_blocks = clear;
        mic->peak_db = clear ? mic->level_db : k_no_peak_db;
    }
}

/* Open or closed, talk or not. Returns the evidence without what leaks in from others. */
static int decide(const ae_automix *self, ae_automix_mic *mic, int index)
{
    int evidence = mic->evidence;
    const float leaked = k_cross_share * self->reference;
    if (index != self->loudest && counted(mic, mic->power) < leaked) evidence = k_no_sound;
    follow_sound(mic, evidence);
    const int speech = mic->held_probability < 0.0f || mic->held_probability >= k_maybe;
    if (mic->lasting_blocks >= k_talk_blocks && speech) mic->talking = 1;

    const int active = evidence >= k_sound || (evidence > k_no_sound && mic->hang_blocks > 0);
    const int long_hang = mic->talking && evidence == k_clear_sound;
    const int hang = active ? (long_hang ? k_talk_hang : k_sound_hang) : 0;
    mic->opened = hang > 0 && mic->hang_blocks == 0;
    mic->hang_blocks = hang > mic->hang_blocks - 1 ? hang : mic->hang_blocks - 1;
    if (mic->hang_blocks <= 0) mic->hang_blocks = mic->talking = 0;
    if (mic->talking) mic->spoke_at = self->block;
    return evidence;
}

static int is_asleep(const ae_automix_mic *mic)
{
    return mic->evidence == k_no_sound && mic->hang_blocks == 0 && mic->gain == 0.0f;
}

static int is_there(ae_automix_mic *const *mics, int count, int index)
{
    return index >= 0 && index < count && mics[index] != NULL && mics[index]->present;
}

/* Who stays open while nobody speaks: who spoke last, else who was there first. */
static int find_held(ae_automix_mic *const *mics, int count, int held)
{
    if (!is_there(mics, count, held)) held = -1;
    if (held >= 0 && mics[held]->spoke_at > 0) return held;
    for (int i = 0; i < count; i++) {
        if (!is_there(mics, count, i)) continue;
        if (held < 0 || mics[i]->spoke_at > mics[held]->spoke_at) held = i;
    }
    return held;
}

static void follow_voice(ae_automix *self, float level)
{
    if (self->voice_blocks < k_voice_first_blocks)
        self->voice += (level - self->voice) / (float)++self->voice_blocks;
    else
        self->voice *= level > self->voice ? k_voice_step : 1.0f / k_voice_step;
}

/* What leaks into the other microphones is measured by the loudest sound. */
static void follow_reference(ae_automix *self, int index, float level)
{
    self->reference *= self->reference_age < k_cross_blocks ? k_cross_decay : k_cross_late_decay;
    self->reference_age = ae_clamp_int(self->reference_age + 1, 0, k_cross_blocks);
    if (self->voice_blocks > 0) level = ae_min(level, k_voice_over * self->voice);
    if (index < 0 || level < self->reference) return;
    self->reference = level;
    self->reference_age = 0;
    self->loudest = index;
}

/* All microphones that hear something. Returns whether somebody talks. */
static int decide_all(ae_automix *self, ae_automix_mic *const *mics, int count)
{
    float sound_level = 0.0f, talk_level = 0.0f;
    int sound = -1, talk = -1;
    for (int i = 0; i < count; i++) {
        ae_automix_mic *mic = mics[i];
        if (mic == NULL || is_asleep(mic)) continue;
        const int evidence = decide(self, mic, i);
        const float level = counted(mic, mic->level);
        if (evidence == k_clear_sound && level > sound_level) {
            sound_level = level;
            sound = i;
        }
        if (mic->talking && level >= talk_level) {
            talk_level = level;
            talk = i;
        }
    }
    follow_reference(self, sound, sound_level);
    if (talk < 0) return 0;
    follow_voice(self, talk_level);
    self->held = talk;
    return 1;
}

/* Targets of all that are open; returns the sum of their squares. */
static float set_targets(const ae_automix *self, ae_automix_mic *const *mics, int count,
                         int somebody_talks)
{
    float most = 1e-20f, squares = 0.0f;
    for (int i = 0; i < count; i++)
        if (mics[i] != NULL && mics[i]->hang_blocks > 0)
            most = ae_max(most, counted(mics[i], mics[i]->held_level));
    if (somebody_talks) most = ae_min(most, k_share_over * self->voice);
    for (int i = 0; i < count; i++) {
        ae_automix_mic *mic = mics[i];
        if (mic == NULL) continue;
        mic->target = 0.0f;
        if (mic->hang_blocks > 0) {
            const float share = counted(mic, mic->held_level) / most;
            mic->target = ae_clamp(k_share_slope * sqrtf(share), k_share_least, 1.0f);
        }
        if (!somebody_talks && i == self->held) mic->target = 1.0f;
        squares += mic->target * mic->target;
    }
    return squares;
}

void ae_automix_share(ae_automix *self, ae_automix_mic *const *mics, int count)
{
    self->block++;
    const int somebody_talks = decide_all(self, mics, count);
    if (!somebody_talks) self->held = find_held(mics, count, self->held);
    const float squares = set_targets(self, mics, count, somebody_talks);
    const float scale = squares > k_sum_most * k_sum_most ? k_sum_most / sqrtf(squares) : 1.0f;
    for (int i = 0; i < count; i++) {
        ae_automix_mic *mic = mics[i];
        if (mic == NULL || (mic->target == 0.0f && mic->gain == 0.0f)) continue;
        const float rise = mic->opened || mic->gain == 0.0f ? 1.0f : k_rise_step;
        mic->gain = ae_clamp(scale * mic->target, mic->gain - k_close_step, mic->gain + rise);
        if (mic->gain < k_closed) mic->gain = 0.0f;
    }
}
