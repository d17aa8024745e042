#include "ae_mixer.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "ae_math.h"
#include "ae_mix_minus.h"

enum {
    k_teams = 2,
    k_most_participants = 4096,
};

/* Teams and the whole mix: 0.5 dB/s, within 3 dB; what has its loudness from the levellers already
 * needs no more. */
static const ae_balance_config k_slow_trim = {
    .least_db = -3.0f,
    .most_db = 3.0f,
    .step_db = 0.005f,
    .young_step_db = 0.005f,
    .memory_windows = 60, /* 6 s of speech */
};
static const float k_team_trim_most_db = 6.0f;
static const float k_duck_attack_ms = 60.0f, k_duck_release_ms = 600.0f;

typedef struct {
    ae_participant *participant; /* NULL: nobody was ever here */
    int is_free;                 /* 1: who was here has left; freed by the next who joins */
    ae_mix_minus minus;
} place;

/* A sum of voices with a slow gain of its own. */
typedef struct {
    ae_kweight *weighting;
    ae_balance balance;
    float trim_db; /* of the user, on top */
    float gain;    /* both, as amplitude, in this block */
    float *rows[AE_MAX_CHANNELS];
} group;

struct ae_mixer {
    ae_mixer_config config;
    ae_participant_room room;
    int block_frames;
    int end; /* one past the last place in use */
    place *places;
    ae_automix automix;
    ae_automix_mic **mics; /* one per place; NULL: does not take part */
    uint8_t *own;
    group teams[k_teams];
    group programme; /* the sum of everything; its balance is the programme's trim */
    float duck;      /* 0 .. 1 */
    float duck_attack, duck_release;
    ae_limiter *limiter;
};

ae_mixer_config ae_mixer_default_config(int sample_rate_hz)
{
    return (ae_mixer_config){
        .sample_rate_hz = sample_rate_hz,
        .channels = 1,
        .max_participants = 64,
        .level_voices = 1,
        .target_lufs = -18.0f,
        .programme_lufs = 0.0f,
        .music_below_lu = 9.0f,
        .duck_db = 4.0f,
        .ceiling_dbtp = -1.0f,
    };
}

static bool is_valid(const ae_mixer_config *config)
{
    return config->sample_rate_hz >= AE_MIN_RATE_HZ && config->sample_rate_hz <= AE_MAX_RATE_HZ &&
           config->channels >= 1 && config->channels <= AE_MAX_CHANNELS &&
           config->max_participants >= 1 && config->max_participants <= k_most_participants &&
           (config->level_voices == 0 || config->level_voices == 1) &&
           ae_in_range(config->target_lufs, -36.0f, -9.0f) &&
           (config->programme_lufs == 0.0f || ae_in_range(config->programme_lufs, -36.0f, -9.0f)) &&
           ae_in_range(config->music_below_lu, 0.0f, 24.0f) &&
           ae_in_range(config->duck_db, 0.0f, 24.0f) &&
           ae_in_range(config->ceiling_dbtp, -20.0f, 0.0f);
}

static ae_mixer *layout(ae_mixer *plan, ae_arena *arena)
{
    ae_mixer *self = AE_TAKE(arena, 1, ae_mixer);
    plan->places = AE_TAKE(arena, plan->config.max_participants, place);
    plan->mics = AE_TAKE(arena, plan->config.max_participants, ae_automix_mic *);
    plan->own = AE_TAKE(arena, plan->config.max_participants, uint8_t);
    for (int c = 0; c < plan->config.channels; c++) {
        plan->programme.rows[c] = AE_TAKE(arena, plan->block_frames, float);
        for (int t = 0; t < k_teams; t++)
            plan->teams[t].rows[c] = AE_TAKE(arena, plan->block_frames, float);
    }
    return self;
}

static ae_limiter_config limiter_config(const ae_mixer *self)
{
    ae_limiter_config config = ae_limiter_default_config(self->config.sample_rate_hz);
    config.channels = self->config.channels;
    config.ceiling_dbtp = self->config.ceiling_dbtp;
    return config;
}

static ae_status make_group(const ae_mixer *self, group *made)
{
    ae_balance_init(&made->balance, &k_slow_trim);
    const ae_kweight_config weighting = {self->config.sample_rate_hz, self->config.channels};
    return ae_kweight_create(&made->weighting, &weighting);
}

static ae_status make_parts(ae_mixer *self)
{
    const ae_limiter_config limiter = limiter_config(self);
    ae_status status = ae_limiter_create(&self->limiter, &limiter);
    if (status == AE_OK) status = make_group(self, &self->programme);
    for (int t = 0; status == AE_OK && t < k_teams; t++) status = make_group(self, &self->teams[t]);
    return status;
}

ae_status ae_mixer_create(ae_mixer **out, const ae_mixer_config *config)
{
    *out = NULL;
    if (!is_valid(config)) return AE_ERROR_ARGUMENT;
    ae_mixer plan = {.config = *config, .block_frames = ae_block_frames(config->sample_rate_hz)};
    ae_arena arena = {0};
    layout(&plan, &arena);
    arena = (ae_arena){ae_allocate(arena.used), 0};
    if (arena.base == NULL) return AE_ERROR_MEMORY;
    ae_mixer *self = layout(&plan, &arena);
    *self = plan;
    self->room = (ae_participant_room){
        .sample_rate_hz = config->sample_rate_hz,
        .channels = config->channels,
        .level_voices = config->level_voices,
        .target_lufs = config->target_lufs,
        .music_lufs = config->target_lufs - config->music_below_lu,
        .ceiling_dbtp = config->ceiling_dbtp,
    };
    self->duck_attack = ae_one_pole(k_duck_attack_ms, 10.0f);
    self->duck_release = ae_one_pole(k_duck_release_ms, 10.0f);
    const ae_status status = make_parts(self);
    if (status != AE_OK) {
        ae_mixer_destroy(self);
        return status;
    }
    ae_mixer_reset(self);
    *out = self;
    return AE_OK;
}

static void free_place(place *self)
{
    if (self->participant == NULL) return;
    ae_participant_destroy(self->participant);
    ae_mix_minus_free(&self->minus);
    *self = (place){0};
}

void ae_mixer_destroy(ae_mixer *self)
{
    if (self == NULL) return;
    for (int p = 0; p < self->config.max_participants; p++) free_place(&self->places[p]);
    for (int t = 0; t < k_teams; t++) ae_kweight_destroy(self->teams[t].weighting);
    ae_kweight_destroy(self->programme.weighting);
    ae_limiter_destroy(self->limiter);
    ae_free(self);
}

/* Who sits there; NULL: nobody. */
static ae_participant *at(const ae_mixer *self, int p)
{
    if (p < 0 || p >= self->end || self->places[p].is_free) return NULL;
    return self->places[p].participant;
}

static void reset_group(group *self)
{
    ae_kweight_reset(self->weighting);
    ae_balance_reset(&self->balance);
}

void ae_mixer_reset(ae_mixer *self)
{
    for (int p = 0; p < self->end; p++) {
        ae_participant *participant = at(self, p);
        self->own[p] = 0;
        if (participant == NULL) continue;
        ae_participant_reset(participant);
        ae_mix_minus_reset(&self->places[p].minus);
    }
    ae_automix_reset(&self->automix);
    for (int t = 0; t < k_teams; t++) reset_group(&self->teams[t]);
    reset_group(&self->programme);
    ae_limiter_reset(self->limiter);
    self->duck = 0.0f;
}

/* ---- who is here ---- */

ae_status ae_mixer_join(ae_mixer *self, const ae_participant_config *participant, int *joined)
{
    int p = 0;
    while (p < self->end && at(self, p) != NULL) p++;
    if (p == self->config.max_participants) return AE_ERROR_FULL;
    place *free_one = &self->places[p], made = {0};
    ae_status status = ae_participant_create(&made.participant, participant, &self->room);
    if (status != AE_OK) return status;
    const ae_limiter_config limiter = limiter_config(self);
    status = ae_mix_minus_init(&made.minus, &limiter);
    if (status != AE_OK) {
        ae_participant_destroy(made.participant);
        return status;
    }
    free_place(free_one);
    *free_one = made;
    if (p == self->end) self->end++;
    *joined = p;
    return AE_OK;
}

void ae_mixer_leave(ae_mixer *self, int p)
{
    ae_participant *participant = at(self, p);
    if (participant != NULL) participant->leaving = 1;
}

void ae_mixer_set_muted(ae_mixer *self, int p, int muted)
{
    ae_participant *participant = at(self, p);
    if (participant != NULL) participant->muted = muted != 0;
}

void ae_mixer_set_trim_db(ae_mixer *self, int p, float trim_db)
{
    ae_participant *participant = at(self, p);
    if (participant != NULL) ae_participant_set_trim_db(participant, trim_db);
}

void ae_mixer_set_role(ae_mixer *self, int p, int role, int team)
{
    ae_participant *participant = at(self, p);
    if (participant != NULL) ae_participant_set_role(participant, role, team);
}

void ae_mixer_set_team_trim_db(ae_mixer *self, int team, float trim_db)
{
    if (team < 1 || team > k_teams || trim_db != trim_db) return;
    self->teams[team - 1].trim_db = ae_clamp(trim_db, -k_team_trim_most_db, k_team_trim_most_db);
}

/* ---- one block ---- */

typedef struct {
    int talking; /* somebody speaks, music apart */
    int team_talking[k_teams];
} room_speech;

static void take_all(ae_mixer *self, const float *in, int places, const uint8_t *present,
                     const float *speech_probability)
{
    const ptrdiff_t row = (ptrdiff_t)self->config.channels * self->block_frames;
    for (int p = 0; p < self->end; p++) {
        ae_participant *participant = at(self, p);
        self->mics[p] = NULL;
        if (participant == NULL) continue;
        const bool arrived = p < places && (present == NULL || present[p]);
        const float probability = arrived && speech_probability ? speech_probability[p] : -1.0f;
        ae_participant_take(participant, arrived ? in + p * row : NULL, probability);
        if (ae_participant_is_voice(participant)) self->mics[p] = &participant->mic;
    }
    ae_automix_share(&self->automix, self->mics, self->end);
}

static room_speech who_talks(const ae_mixer *self)
{
    room_speech found = {0};
    for (int p = 0; p < self->end; p++) {
        if (self->mics[p] == NULL || !self->mics[p]->talking) continue;
        const int team = at(self, p)->config.team;
        found.talking = 1;
        if (team > 0) found.team_talking[team - 1] = 1;
    }
    return found;
}

static float update_gain(group *self)
{
    self->gain = ae_amplitude_from_db(self->balance.gain_db + self->trim_db);
    return self->gain;
}

/* Each one's weight: what the automixer gave, times team, ducking and programme trim. */
static void weigh_all(ae_mixer *self, int talking)
{
    const float wanted = talking ? 1.0f : 0.0f;
    self->duck += (talking ? self->duck_attack : self->duck_release) * (wanted - self->duck);
    const float programme = update_gain(&self->programme);
    const float music = programme * ae_amplitude_from_db(-self->config.duck_db * self->duck);
    float voice[1 + k_teams] = {programme};
    for (int t = 0; t < k_teams; t++) voice[1 + t] = programme * update_gain(&self->teams[t]);
    for (int p = 0; p < self->end; p++) {
        ae_participant *participant = at(self, p);
        if (participant == NULL) continue;
        const int is_voice = ae_participant_is_voice(participant);
        ae_participant_weigh(participant, is_voice ? voice[participant->config.team] : music);
    }
}

static void clear(const ae_mixer *self, const group *sum)
{
    for (int c = 0; c < self->config.channels; c++) ae_zero(sum->rows[c], self->block_frames);
}

static void add_rows(const ae_mixer *self, const group *from, const group *to)
{
    for (int c = 0; c < self->config.channels; c++) {
        const float *restrict x = from->rows[c];
        float *restrict y = to->rows[c];
#pragma omp simd
        for (int n = 0; n < self->block_frames; n++) y[n] += x[n];
    }
}

static void sum_all(ae_mixer *self)
{
    int members[k_teams] = {0}; /* heard */
    clear(self, &self->programme);
    for (int p = 0; p < self->end; p++) {
        const ae_participant *participant = at(self, p);
        if (participant == NULL || !ae_participant_is_heard(participant)) continue;
        const int team = participant->config.team;
        group *sum = team == 0 ? &self->programme : &self->teams[team - 1];
        if (team > 0 && members[team - 1]++ == 0) clear(self, sum);
        ae_participant_add_to(participant, sum->rows);
    }
    for (int t = 0; t < k_teams; t++) {
        if (members[t] > 0) add_rows(self, &self->teams[t], &self->programme);
    }
}

/* What the members' own trims make of a team's power: a trim is not taken back by the balance. */
static double trim_power(const ae_mixer *self, int team)
{
    double with = 1e-20, without = 1e-20;
    for (int p = 0; p < self->end; p++) {
        const ae_participant *participant = at(self, p);
        if (participant == NULL || participant->config.team != team || !participant->delivers)
            continue;
        const ae_automix_mic *mic = &participant->mic;
        const double power = (double)mic->level * (double)mic->gain * (double)mic->gain;
        without += power;
        with += power * (double)participant->trim * (double)participant->trim;
    }
    return with / without;
}

/* The balance hears the sum without its own gain and what else was put on it. */
static void balance_group(const ae_mixer *self, group *sum, double gain_power, float target_lufs)
{
    const double mean_square =
        ae_kweight_mean_square(sum->weighting, (const float *const *)sum->rows, self->block_frames);
    ae_balance_update(&sum->balance, mean_square / gain_power, target_lufs);
}

static void balance_all(ae_mixer *self, const room_speech *speech)
{
    const double programme = (double)self->programme.gain;
    for (int t = 0; t < k_teams; t++) {
        if (!speech->team_talking[t]) continue;
        const double gain = programme * (double)self->teams[t].gain;
        balance_group(self, &self->teams[t], gain * gain * trim_power(self, t + 1),
                      self->config.target_lufs);
    }
    if (speech->talking && self->config.programme_lufs != 0.0f)
        balance_group(self, &self->programme, programme * programme, self->config.programme_lufs);
}

typedef struct {
    float *rows[AE_MAX_CHANNELS];
} row_pointers;

static row_pointers rows_of(const ae_mixer *self, float *first)
{
    row_pointers found = {{0}};
    for (int c = 0; c < self->config.channels; c++)
        found.rows[c] = first + (ptrdiff_t)c * self->block_frames;
    return found;
}

/* Own mixes of one place; `programme` has passed the limiter. */
static void give_minus(ae_mixer *self, int p, const row_pointers *programme, float *row)
{
    const ae_participant *participant = at(self, p);
    ae_mix_minus *minus = &self->places[p].minus;
    row_pointers to = rows_of(self, row);
    const int heard = ae_participant_is_heard(participant);
    if (heard) {
        ae_participant_take_from(participant, self->programme.rows, to.rows);
    } else {
        for (int c = 0; c < self->config.channels; c++)
            ae_copy(to.rows[c], self->programme.rows[c], self->block_frames);
    }
    ae_mix_minus_end(minus, heard, self->limiter, (const float *const *)programme->rows,
                     self->config.channels, self->block_frames, to.rows);
}

static void give_all(ae_mixer *self, float *mix, float *minus, int places, int every_row)
{
    const ptrdiff_t row = (ptrdiff_t)self->config.channels * self->block_frames;
    for (int p = 0; p < self->end; p++) {
        const ae_participant *participant = at(self, p);
        self->own[p] = 0;
        if (participant == NULL) continue;
        if (p >= places) { /* no row for him */
            ae_mix_minus_reset(&self->places[p].minus);
            continue;
        }
        ae_mix_minus_begin(&self->places[p].minus, ae_participant_is_heard(participant),
                           self->limiter);
        self->own[p] = (uint8_t)self->places[p].minus.own;
    }
    const row_pointers out = rows_of(self, mix);
    ae_limiter_process(self->limiter, (const float *const *)self->programme.rows, out.rows);
    for (int p = 0; p < places; p++) {
        if (p < self->end && self->own[p])
            give_minus(self, p, &out, minus + p * row);
        else if (every_row)
            ae_copy(minus + p * row, mix, (int)row);
    }
}

static void let_go(ae_mixer *self)
{
    for (int p = 0; p < self->end; p++) {
        const ae_participant *participant = at(self, p);
        if (participant != NULL && participant->leaving) self->places[p].is_free = 1;
    }
    while (self->end > 0 && at(self, self->end - 1) == NULL) self->end--;
}

void ae_mixer_process(ae_mixer *self, const float *in, int places, const uint8_t *present,
                      const float *speech_probability, float *mix, float *minus, int every_row)
{
    const ae_fp_mode mode = ae_fp_enter();
    take_all(self, in, places, present, speech_probability);
    const room_speech speech = who_talks(self);
    weigh_all(self, speech.talking);
    sum_all(self);
    balance_all(self, &speech);
    give_all(self, mix, minus, places, every_row);
    let_go(self);
    ae_fp_leave(mode);
}

/* ---- reports ---- */

const uint8_t *ae_mixer_own(const ae_mixer *self) { return self->own; }

int ae_mixer_latency_frames(const ae_mixer *self)
{
    return ae_limiter_latency_frames(self->limiter);
}

void ae_mixer_read(const ae_mixer *self, ae_mixer_report *out)
{
    *out = (ae_mixer_report){.programme_trim_db = self->programme.balance.gain_db,
                             .music_duck_db = self->duck * self->config.duck_db};
    for (int p = 0; p < self->end; p++) {
        const ae_participant *participant = at(self, p);
        if (participant == NULL) continue;
        out->participants++;
        out->open += ae_participant_is_heard(participant);
    }
    for (int t = 0; t < k_teams; t++) {
        out->team_gain_db[t] = self->teams[t].balance.gain_db;
        out->team_loudness_lufs[t] = ae_balance_loudness_lufs(&self->teams[t].balance);
    }
    ae_limiter_read(self->limiter, &out->limiter);
}

void ae_mixer_read_participant(const ae_mixer *self, int p, ae_participant_report *out)
{
    const ae_participant *participant = at(self, p);
    *out = (ae_participant_report){0};
    if (participant != NULL) ae_participant_read(participant, out);
}
