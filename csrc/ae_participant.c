#include "ae_participant.h"

#include "ae_math.h"

static const float k_largest_sample = 8.0f; /* +18 dBFS: no microphone, no engine gives more */
static const int k_chronic_blocks = 100;    /* 1 s */
static const int k_distrust_blocks = 9;     /* with the broken one 0.1 s */
static const float k_trim_step_db = 1.0f;   /* per block */
static const float k_host_priority_db = 6.0f;
static const float k_least_trim_db = -24.0f, k_most_trim_db = 12.0f;

/* A song is taken for one at -14 LUFS, as the platforms play them, until it has been heard. */
static const float k_usual_song_lufs = -14.0f;
static const ae_balance_config k_song = {
    .least_db = -36.0f,
    .most_db = 12.0f,
    .step_db = 0.005f,      /* 0.5 dB/s: verse and chorus stay apart */
    .young_step_db = 0.15f, /* 15 dB/s */
    .memory_windows = 300,  /* 30 s */
};

static int is_valid(const ae_participant_config *config)
{
    return config->role >= AE_ROLE_VOICE && config->role <= AE_ROLE_MUSIC && config->team >= 0 &&
           config->team <= 2 && (config->team == 0 || config->role != AE_ROLE_MUSIC) &&
           ae_in_range(config->trim_db, k_least_trim_db, k_most_trim_db) &&
           ae_in_range(config->start_gain_db, -26.0f, 36.0f) &&
           (config->role != AE_ROLE_MUSIC || config->start_gain_db == 0.0f);
}

static ae_participant *layout(ae_participant *plan, ae_arena *arena)
{
    ae_participant *self = AE_TAKE(arena, 1, ae_participant);
    for (int c = 0; c < plan->channels; c++) {
        plan->signal[c] = AE_TAKE(arena, plan->block_frames, float);
    }
    return self;
}

static ae_status make_leveller(ae_participant *self, const ae_participant_room *room)
{
    ae_leveller_config config = ae_leveller_default_config(room->sample_rate_hz);
    config.channels = room->channels;
    config.target_lufs = room->target_lufs;
    config.initial_gain_db = self->config.start_gain_db;
    config.ceiling_dbtp = room->ceiling_dbtp;
    return ae_leveller_create(&self->leveller, &config);
}

static ae_status make_balance(ae_participant *self, const ae_participant_room *room)
{
    ae_balance_config config = k_song;
    config.start_db =
        ae_clamp(room->music_lufs - k_usual_song_lufs, config.least_db, config.most_db);
    ae_balance_init(&self->balance, &config);
    self->music_lufs = room->music_lufs;
    const ae_kweight_config weighting = {room->sample_rate_hz, room->channels};
    return ae_kweight_create(&self->weighting, &weighting);
}

ae_status ae_participant_create(ae_participant **out, const ae_participant_config *config,
                                const ae_participant_room *room)
{
    *out = NULL;
    if (!is_valid(config)) return AE_ERROR_ARGUMENT;
    ae_participant plan = {.config = *config,
                           .channels = room->channels,
                           .block_frames = ae_block_frames(room->sample_rate_hz)};
    ae_arena arena = {0};
    layout(&plan, &arena);
    arena = (ae_arena){ae_allocate(arena.used), 0};
    if (arena.base == NULL) return AE_ERROR_MEMORY;
    ae_participant *self = layout(&plan, &arena);
    *self = plan;
    ae_status status = AE_OK;
    if (config->role == AE_ROLE_MUSIC)
        status = make_balance(self, room);
    else if (room->level_voices)
        status = make_leveller(self, room);
    if (status != AE_OK) {
        ae_participant_destroy(self);
        return status;
    }
    self->wanted_trim_db = config->trim_db;
    ae_participant_reset(self);
    *out = self;
    return AE_OK;
}

void ae_participant_destroy(ae_participant *self)
{
    if (self == NULL) return;
    ae_leveller_destroy(self->leveller);
    ae_kweight_destroy(self->weighting);
    ae_free(self);
}

static void prefer(ae_participant *self)
{
    self->mic.priority_db = self->config.role == AE_ROLE_HOST ? k_host_priority_db : 0.0f;
}

void ae_participant_set_role(ae_participant *self, int role, int team)
{
    ae_participant_config changed = self->config;
    changed.role = role;
    changed.team = team;
    const int both_voices = role != AE_ROLE_MUSIC && ae_participant_is_voice(self);
    if (!both_voices || !is_valid(&changed)) return;
    self->config = changed;
    prefer(self);
}

void ae_participant_reset(ae_participant *self)
{
    if (self->leveller != NULL) ae_leveller_reset(self->leveller);
    if (self->weighting != NULL) {
        ae_kweight_reset(self->weighting);
        ae_balance_reset(&self->balance);
    }
    ae_automix_mic_reset(&self->mic);
    prefer(self);
    self->trim_db = self->wanted_trim_db;
    self->trim = ae_amplitude_from_db(self->trim_db);
    self->weight = self->previous_weight = 0.0f;
    self->delivers = self->distrusted_blocks = 0;
    self->since_broken_blocks = k_chronic_blocks;
    self->broken_count = 0;
}

void ae_participant_set_trim_db(ae_participant *self, float trim_db)
{
    if (trim_db == trim_db)
        self->wanted_trim_db = ae_clamp(trim_db, k_least_trim_db, k_most_trim_db);
}

int ae_participant_is_voice(const ae_participant *self)
{
    return self->config.role != AE_ROLE_MUSIC;
}

static void mirror(float *values, int count)
{
    for (int a = 0, b = count - 1; a < b; a++, b--) {
        const float kept = values[a];
        values[a] = values[b];
        values[b] = kept;
    }
}

static void hear_song(ae_participant *self)
{
    const double mean_square = ae_kweight_mean_square(
        self->weighting, (const float *const *)self->signal, self->block_frames);
    ae_balance_update(&self->balance, mean_square, self->music_lufs);
}

/* How many samples of the block are no numbers, or no sound. */
static int count_broken(const ae_participant *self, const float *in)
{
    int broken = 0;
#pragma omp simd reduction(+ : broken)
    for (int n = 0; n < self->channels * self->block_frames; n++)
        broken += !(fabsf(in[n]) <= k_largest_sample);
    return broken;
}

/* Whether what arrived is fit to be heard. */
static int is_trusted(ae_participant *self, const float *in)
{
    const int broken = count_broken(self, in);
    if (broken > 0) {
        self->broken_count += broken;
        if (self->since_broken_blocks < k_chronic_blocks)
            self->distrusted_blocks = k_distrust_blocks;
        self->since_broken_blocks = 0;
        return 0;
    }
    if (self->since_broken_blocks < k_chronic_blocks) self->since_broken_blocks++;
    if (self->distrusted_blocks == 0) return 1;
    self->distrusted_blocks--;
    return 0;
}

void ae_participant_take(ae_participant *self, const float *in, float speech_probability)
{
    const int arrives = in != NULL && !self->leaving && is_trusted(self, in);
    const int fades = self->weight > 0.0f;
    self->previous_weight = self->weight;
    self->delivers = arrives && !self->muted;
    const int known = speech_probability >= 0.0f && speech_probability <= 1.0f;
    const float probability = known ? speech_probability : -1.0f;

    for (int c = 0; c < self->channels; c++) {
        if (arrives)
            ae_copy(self->signal[c], in + (ptrdiff_t)c * self->block_frames, self->block_frames);
        else if (fades)
            mirror(self->signal[c], self->block_frames);
    }
    const float *const *signal = (const float *const *)self->signal;
    if (self->leveller != NULL && arrives && (self->delivers || fades))
        ae_leveller_process(self->leveller, signal, probability, self->signal);
    if (!ae_participant_is_voice(self)) {
        if (self->delivers) hear_song(self);
    } else if (self->delivers) {
        ae_automix_mic_hear(&self->mic, signal, self->channels, self->block_frames, probability);
    } else {
        ae_automix_mic_rest(&self->mic);
        self->mic.gain = 0.0f; /* faded over this block */
    }
}

void ae_participant_weigh(ae_participant *self, float room_gain)
{
    if (self->trim_db != self->wanted_trim_db) {
        self->trim_db = ae_clamp(self->wanted_trim_db, self->trim_db - k_trim_step_db,
                                 self->trim_db + k_trim_step_db);
        self->trim = ae_amplitude_from_db(self->trim_db);
    }
    const float own = ae_participant_is_voice(self) ? self->mic.gain
                                                    : ae_amplitude_from_db(self->balance.gain_db);
    self->weight = self->delivers ? own * self->trim * room_gain : 0.0f;
}

int ae_participant_is_heard(const ae_participant *self)
{
    return self->weight > 0.0f || self->previous_weight > 0.0f;
}

/* y = y0 + sign * weight * x. A closed microphone opens within a quarter of the block, so that a
 * short onset is not lost; everything else moves over all of it. */
static void add_weighted(const ae_participant *self, const float *restrict x, float sign,
                         const float *y0, float *y)
{
    const int frames = self->block_frames;
    const int ramp = self->previous_weight > 0.0f ? frames : frames / 4;
    const float from = sign * self->previous_weight, to = sign * self->weight;
    const float step = (to - from) / (float)ramp;
#pragma omp simd
    for (int n = 0; n < ramp; n++) y[n] = y0[n] + x[n] * (from + step * (float)(n + 1));
#pragma omp simd
    for (int n = ramp; n < frames; n++) y[n] = y0[n] + x[n] * to;
}

void ae_participant_add_to(const ae_participant *self, float *const *sum)
{
    for (int c = 0; c < self->channels; c++)
        add_weighted(self, self->signal[c], 1.0f, sum[c], sum[c]);
}

void ae_participant_take_from(const ae_participant *self, float *const *from, float *const *to)
{
    for (int c = 0; c < self->channels; c++)
        add_weighted(self, self->signal[c], -1.0f, from[c], to[c]);
}

void ae_participant_read(const ae_participant *self, ae_participant_report *out)
{
    *out = (ae_participant_report){.open = ae_participant_is_heard(self),
                                   .muted = self->muted,
                                   .loudness_lufs = -200.0f,
                                   .share = self->mic.gain,
                                   .broken_count = self->broken_count};
    if (self->leveller != NULL) {
        ae_leveller_report level;
        ae_leveller_read(self->leveller, &level);
        out->gain_db = level.gain_db;
        out->voice_gain_db = level.voice_gain_db;
        out->loudness_lufs = level.speech_loudness_lufs;
    } else if (self->weighting != NULL) {
        out->share = 1.0f;
        out->gain_db = out->voice_gain_db = self->balance.gain_db;
        out->loudness_lufs = ae_balance_loudness_lufs(&self->balance);
    }
}
