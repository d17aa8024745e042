#include "ae_music_guard.h"

#include "ae_vector_math.h"

enum {
    k_max_bins = 65536,
    k_max_lag = 8,
    k_mean_reach = 6, /* neighbours each side of a peak */
    k_parts = 3,      /* the minimum's window slides in thirds */
    k_long_ago = 1000000,
};

static const float k_low_hz = 375.0f;   /* below, a voice's harmonics hold still too long */
static const float k_high_hz = 5000.0f; /* above, tones are faint and drums are loud */
static const float k_lag_ms = 30.0f; /* windows of 32 ms no longer overlap: noise is incoherent */
static const float k_steady_ms = 120.0f;
static const float k_steady_least = 0.7f; /* mean phasor of the phase advance; noise has 0.2 */
static const float k_peak_least = 2.0f;   /* above the mean of its neighbours */
static const float k_power_least = 1e-9f; /* -90 dBFS */
static const float k_power_most = 1e8f;   /* 80 dB above full scale: no audio */
static const float k_rise_least = 6.0f;   /* 8 dB within the window of the minimum */
static const float k_rise_part_ms = 150.0f;
static const float k_start_ms = 300.0f;  /* what sounds from the first moment on has not begun */
static const float k_gap_ms = 100.0f;    /* a tone may be lost for so long */
static const float k_quiet_ms = 500.0f;  /* and begins only after so long without */
static const float k_note_ms = 3000.0f;  /* a tone that lasts longer is a drone */
static const float k_moment_ms = 200.0f; /* notes within it begin at the same moment */
static const float k_moments_ms = 3000.0f, k_moments_least = 1.2f;
static const float k_notes_most = 4.0f;
static const float k_up_ms = 1000.0f, k_down_ms = 3000.0f;
static const float k_score_on = 0.4f, k_score_off = 0.15f;
static const float k_fade_in_ms = 300.0f, k_fade_out_ms = 1000.0f;
static const float k_own_least = 0.7f; /* echo gain: 3 dB; what it takes more of is the far end's */

struct ae_music_guard {
    int bins, low, high; /* tones are looked for in low .. high - 1 */
    int lag, gap, quiet, note, moment, start, part_frames;
    float steady_rate, up, down, moment_keep, fade_in, fade_out;
    int frames, past_at, part_at, part_age;
    int since_moment;
    float moments, score, presence;
    int music;
    float *past_re[k_max_lag], *past_im[k_max_lag]; /* [bins] */
    float *phasor_re, *phasor_im, *power, *mean;    /* [bins] smoothed */
    float *least[k_parts];                          /* [bins] minima of `power` */
    float *tones, *line;                            /* [bins] with and without its neighbours */
    int32_t *since, *age; /* [bins] frames without a tone; since it began */
    float *fresh;         /* [bins] 1: its tone began while we listened */
};

static int frames_of(float time_ms, float hop_ms)
{
    const int frames = (int)(time_ms / hop_ms + 0.5f);
    return frames < 1 ? 1 : frames;
}

static ae_music_guard *lay_out(ae_arena *arena, const ae_music_guard_config *config)
{
    ae_music_guard *self = AE_TAKE(arena, 1, ae_music_guard);
    const int bins = config->bins, lag = frames_of(k_lag_ms, config->hop_ms);
    ae_music_guard filled = {.bins = bins, .lag = lag};
    float **planes[] = {&filled.phasor_re, &filled.phasor_im, &filled.power, &filled.mean,
                        &filled.tones,     &filled.line,      &filled.fresh, &filled.least[0],
                        &filled.least[1],  &filled.least[2]};
    for (size_t i = 0; i < sizeof planes / sizeof *planes; i++)
        *planes[i] = AE_TAKE(arena, bins, float);
    for (int i = 0; i < lag; i++) {
        filled.past_re[i] = AE_TAKE(arena, bins, float);
        filled.past_im[i] = AE_TAKE(arena, bins, float);
    }
    filled.since = AE_TAKE(arena, bins, int32_t);
    filled.age = AE_TAKE(arena, bins, int32_t);
    if (self == NULL) return NULL;
    *self = filled;
    const float hop_ms = config->hop_ms;
    self->low = ae_clamp_int((int)(k_low_hz / config->bin_hz + 0.5f), 1, bins - 1);
    self->high = ae_clamp_int((int)(k_high_hz / config->bin_hz + 0.5f), 1, bins - 1);
    self->gap = frames_of(k_gap_ms, hop_ms);
    self->quiet = frames_of(k_quiet_ms, hop_ms);
    self->note = frames_of(k_note_ms, hop_ms);
    self->moment = frames_of(k_moment_ms, hop_ms);
    self->start = frames_of(k_start_ms, hop_ms);
    self->part_frames = frames_of(k_rise_part_ms, hop_ms);
    self->steady_rate = ae_one_pole(k_steady_ms, hop_ms);
    self->up = ae_one_pole(k_up_ms, hop_ms);
    self->down = ae_one_pole(k_down_ms, hop_ms);
    self->moment_keep = 1.0f - ae_one_pole(k_moments_ms, hop_ms);
    self->fade_in = ae_one_pole(k_fade_in_ms, hop_ms);
    self->fade_out = ae_one_pole(k_fade_out_ms, hop_ms);
    return self;
}

ae_status ae_music_guard_create(ae_music_guard **out, const ae_music_guard_config *config)
{
    *out = NULL;
    if (config->bins < 32 || config->bins > k_max_bins ||
        !(config->bin_hz > 0.0f && config->bin_hz < 1e5f) ||
        !(config->hop_ms >= 5.0f && config->hop_ms <= 20.0f))
        return AE_ERROR_ARGUMENT;
    ae_arena arena = {0};
    lay_out(&arena, config);
    arena.base = ae_allocate(arena.used);
    if (arena.base == NULL) return AE_ERROR_MEMORY;
    arena.used = 0;
    *out = lay_out(&arena, config);
    ae_music_guard_reset(*out);
    return AE_OK;
}

void ae_music_guard_destroy(ae_music_guard *self) { ae_free(self); }
int ae_music_guard_music(const ae_music_guard *self) { return self->music; }
float ae_music_guard_presence(const ae_music_guard *self) { return self->presence; }
float ae_music_guard_score(const ae_music_guard *self) { return self->score; }
const float *ae_music_guard_tones(const ae_music_guard *self) { return self->tones; }

void ae_music_guard_reset(ae_music_guard *self)
{
    const int bins = self->bins;
    self->frames = self->past_at = self->part_at = self->part_age = self->music = 0;
    self->since_moment = k_long_ago;
    self->moments = self->score = self->presence = 0.0f;
    float *cleared[] = {self->phasor_re, self->phasor_im, self->power, self->mean,
                        self->tones,     self->line,      self->fresh};
    for (size_t i = 0; i < sizeof cleared / sizeof *cleared; i++) ae_zero(cleared[i], bins);
    for (int i = 0; i < k_parts; i++) ae_zero(self->least[i], bins);
    for (int i = 0; i < self->lag; i++) {
        ae_zero(self->past_re[i], bins);
        ae_zero(self->past_im[i], bins);
    }
    for (int k = 0; k < bins; k++) {
        self->since[k] = k_long_ago;
        self->age[k] = k_long_ago;
    }
}

static int is_audio(const float *re, const float *im, int bins, float power_scale)
{
    float sum = 0.0f;
#pragma omp simd reduction(+ : sum)
    for (int k = 0; k < bins; k++) sum += re[k] * re[k] + im[k] * im[k];
    return sum * power_scale < k_power_most; /* false for NaN */
}

/* Smoothed power, and the mean phasor of the phase advance: its length is 1 for a steady tone. */
static void track(ae_music_guard *self, const float *re, const float *im, float power_scale,
                  const float *echo_gain)
{
    const int bins = self->bins;
    const float rate = self->steady_rate;
    const float power_rate = ae_max(rate, 1.0f / (1.0f + (float)self->frames));
    float *restrict past_re = self->past_re[self->past_at];
    float *restrict past_im = self->past_im[self->past_at];
    float *restrict s_re = self->phasor_re, *restrict s_im = self->phasor_im;
    float *restrict power = self->power;
    self->past_at = (self->past_at + 1) % self->lag;
#pragma omp simd
    for (int k = 0; k < bins; k++) {
        const float d_re = re[k] * past_re[k] + im[k] * past_im[k];
        const float d_im = im[k] * past_re[k] - re[k] * past_im[k];
        const float inverse = 1.0f / sqrtf(d_re * d_re + d_im * d_im + 1e-30f);
        s_re[k] += rate * (d_re * inverse - s_re[k]);
        s_im[k] += rate * (d_im * inverse - s_im[k]);
        past_re[k] = re[k];
        past_im[k] = im[k];
        const float scale = echo_gain == NULL || echo_gain[k] > k_own_least ? power_scale : 0.0f;
        power[k] += power_rate * (scale * (re[k] * re[k] + im[k] * im[k]) - power[k]);
    }
}

/* Least power of the last 0.3 .. 0.45 s; what sounded from the start is no rise. */
static void track_least(ae_music_guard *self)
{
    if (self->frames <= self->start) {
        for (int i = 0; i < k_parts; i++) ae_copy(self->least[i], self->power, self->bins);
        return;
    }
    if (++self->part_age >= self->part_frames) {
        self->part_age = 0;
        self->part_at = (self->part_at + 1) % k_parts;
        ae_copy(self->least[self->part_at], self->power, self->bins);
    }
    float *restrict least = self->least[self->part_at];
    const float *restrict power = self->power;
#pragma omp simd
    for (int k = 0; k < self->bins; k++) least[k] = ae_min(power[k], least[k]);
}

static void find_tones(ae_music_guard *self)
{
    const float *power = self->power, *mean = self->mean;
    ae_moving_mean(power, self->mean, self->bins, k_mean_reach);
    ae_zero(self->line, self->bins);
    ae_zero(self->tones, self->bins);
    const float steady = k_steady_least * k_steady_least;
    for (int k = self->low; k < self->high; k++) {
        const float length =
            self->phasor_re[k] * self->phasor_re[k] + self->phasor_im[k] * self->phasor_im[k];
        if (length < steady || power[k] <= power[k - 1] || power[k] < power[k + 1] ||
            power[k] < k_peak_least * mean[k] || power[k] < k_power_least)
            continue;
        self->line[k] = 1.0f;
        self->tones[k - 1] = self->tones[k] = self->tones[k + 1] = 1.0f;
    }
}

/* Which tones are notes; how many sound now. */
static float count_notes(ae_music_guard *self)
{
    float notes = 0.0f;
    int begins = 0;
    for (int k = self->low - 1; k <= self->high; k++) {
        const int32_t since = self->since[k];
        self->age[k] = self->age[k] < k_long_ago ? self->age[k] + 1 : k_long_ago;
        if (self->tones[k] < 0.5f) {
            self->since[k] = since < k_long_ago ? since + 1 : k_long_ago;
            continue;
        }
        self->since[k] = 0;
        if (since > self->gap) {
            const float least =
                ae_min(ae_min(self->least[0][k], self->least[1][k]), self->least[2][k]);
            self->age[k] = 0;
            self->fresh[k] = since > self->quiet && self->frames > self->start &&
                                     self->power[k] > k_rise_least * least
                                 ? 1.0f
                                 : 0.0f;
        }
        if (self->line[k] < 0.5f || self->fresh[k] < 0.5f || self->age[k] >= self->note) continue;
        notes += 1.0f;
        begins |= self->age[k] == 0;
    }
    self->moments *= self->moment_keep;
    self->since_moment = self->since_moment < k_long_ago ? self->since_moment + 1 : k_long_ago;
    if (begins && self->since_moment > self->moment) {
        self->moments += 1.0f;
        self->since_moment = 0;
    }
    return notes;
}

void ae_music_guard_update(ae_music_guard *self, const float *re, const float *im,
                           float power_scale, const float *echo_gain)
{
    if (!is_audio(re, im, self->bins, power_scale)) return;
    track(self, re, im, power_scale, echo_gain);
    track_least(self);
    find_tones(self);
    const float notes = ae_min(count_notes(self), k_notes_most);
    const float counted = self->moments > k_moments_least ? notes : 0.0f;
    self->score += (counted > self->score ? self->up : self->down) * (counted - self->score);
    self->music = self->score > (self->music ? k_score_off : k_score_on);
    const float fade = self->music ? self->fade_in : self->fade_out;
    self->presence += fade * ((float)self->music - self->presence);
    if (self->frames < k_long_ago) self->frames++;
}
