#include "ae_sync_delay.h"

#include "ae_math.h"

enum {
    k_max_delay_ms = 2000,
    k_half = 32, /* taps on each side: flat to 1 - 3 / k_half of the Nyquist frequency */
    k_taps = 2 * k_half,
    k_rows = 512, /* the image of linear interpolation between them: (pi f / 512)^2 / 8, -120 dB at
                   * half of the Nyquist frequency */
    k_slack = 16, /* frames that the read position may move within a block: 5 at 96 kHz */
    k_pause_blocks = 20,  /* 200 ms: what counts as a pause */
    k_edge_blocks = 5,    /* 50 ms: soft ends and soft beginnings of words stay */
    k_least_blocks = 4,   /* a jump short of the target goes at least so far */
    k_known_blocks = 100, /* of programme: then its level is known */
};

static const double k_pi = 3.14159265358979323846;
static const double k_kaiser_beta = 9.0;        /* -90 dB (Kaiser 1974: 0.1102 (90 - 8.7)) */
static const double k_most_slew = 0.005;        /* seconds of delay per second */
static const double k_slew_ramp_s = 0.02;       /* until it slides that fast: no kink in a tone */
static const double k_least_jump_s = 0.001;     /* a shorter way is slid in 0.2 s */
static const float k_largest_sample = 1e6f;     /* beyond it a sample counts as broken: 0 */
static const float k_lowest_floor_db = -75.0f;  /* dBFS; quieter is always a pause */
static const float k_highest_floor_db = -40.0f; /* dBFS; a louder steady sound is programme */
static const float k_floor_down = 0.3f;         /* of the way, per block */
static const float k_floor_up_db = 0.01f;       /* per block: 1 dB/s, less than a held note fades */
static const float k_floor_margin_db = 8.0f;    /* 10 ms blocks of room noise lie within +-5 dB */
static const float k_usual_db = -20.0f;         /* of speech, until something has been heard */
static const float k_below_db = 12.0f;          /* under that, near the floor: a pause */
static const float k_far_below_db = 20.0f; /* wherever the floor is: soft consonants last less */
static const float k_unsure_far_below_db = 26.0f; /* the same where it may be a whisper */
static const float k_loud_share = 0.001f;         /* per block: the mean of 10 s outside pauses */
static const float k_speech = 0.5f;               /* probability from which on it is no pause */

/* Positions are counted backwards from the first frame of the newest block: block `age` 0 is the
 * newest, and reading at position p gives, for the n-th frame of the block, the input of n - p. */
struct ae_sync_delay {
    int sample_rate_hz, channels, block;
    int slots;    /* blocks in the line */
    int capacity; /* frames in the line: slots * block */
    int newest;   /* slot of the newest block */
    int most;     /* longest delay in frames */
    int target;   /* frames */
    double delay; /* frames now; whole at rest */
    double slew;  /* change of it per frame */
    double most_slew_step;
    float floor_db;   /* of the noise */
    float loud_power; /* mean of what is programme */
    int loud_blocks;  /* that this stands on, up to k_known_blocks */
    int jump_count;
    float *line[AE_MAX_CHANNELS]; /* a ring, its first frames repeated at the end */
    float *table;                 /* k_rows + 1 rows of k_taps */
    float *rising;                /* block: the fade-in, equal power; backwards it fades out */
    uint8_t *quiet;               /* per slot */
};

ae_sync_delay_config ae_sync_delay_default_config(int sample_rate_hz)
{
    return (ae_sync_delay_config){sample_rate_hz, 1, k_max_delay_ms, 0.0f, 0.0f};
}

static int repeated_frames(const ae_sync_delay *self) { return self->block + k_taps + k_slack; }

static ae_sync_delay *lay_out(ae_arena *arena, ae_sync_delay *planned)
{
    ae_sync_delay *place = AE_TAKE(arena, 1, ae_sync_delay);
    for (int c = 0; c < planned->channels; c++)
        planned->line[c] = AE_TAKE(arena, planned->capacity + repeated_frames(planned), float);
    planned->table = AE_TAKE(arena, (k_rows + 1) * k_taps, float);
    planned->rising = AE_TAKE(arena, planned->block, float);
    planned->quiet = AE_TAKE(arena, planned->slots, uint8_t);
    return place;
}

/* Modified Bessel function of the first kind, order 0, by its power series. */
static double bessel_i0(double x)
{
    double term = 1.0, sum = 1.0;
    for (int k = 1; term > 1e-17 * sum; k++) {
        term *= 0.25 * x * x / ((double)k * k);
        sum += term;
    }
    return sum;
}

/* Row r reads r / k_rows of a frame after the tap k_half - 1; each is scaled to a gain of 1 at DC.
 */
static void fill_table(float *table)
{
    for (int r = 0; r <= k_rows; r++) {
        double exact[k_taps], sum = 0.0;
        for (int k = 0; k < k_taps; k++) {
            const double t = k - k_half + 1 - (double)r / k_rows;
            const double inside = fmax(0.0, 1.0 - t * t / ((double)k_half * k_half));
            const double sinc = fabs(t) < 1e-9 ? 1.0 : sin(k_pi * t) / (k_pi * t);
            exact[k] = sinc * bessel_i0(k_kaiser_beta * sqrt(inside));
            sum += exact[k];
        }
        for (int k = 0; k < k_taps; k++) table[r * k_taps + k] = (float)(exact[k] / sum);
    }
}

static int frames_of(const ae_sync_delay *self, float delay_ms)
{
    const long frames = lround((double)delay_ms * 1e-3 * self->sample_rate_hz);
    return ae_clamp_int((int)frames, 0, self->most);
}

ae_status ae_sync_delay_create(ae_sync_delay **out, const ae_sync_delay_config *config)
{
    *out = NULL;
    const float longest_ms = (float)config->max_delay_ms;
    if (config->sample_rate_hz < AE_MIN_RATE_HZ || config->sample_rate_hz > AE_MAX_RATE_HZ ||
        config->channels < 1 || config->channels > AE_MAX_CHANNELS || config->max_delay_ms < 0 ||
        config->max_delay_ms > k_max_delay_ms || !ae_in_range(config->delay_ms, 0.0f, longest_ms) ||
        !ae_in_range(config->initial_delay_ms, 0.0f, longest_ms))
        return AE_ERROR_ARGUMENT;
    const int rate_hz = config->sample_rate_hz, block = ae_block_frames(rate_hz);
    ae_sync_delay planned = {
        .sample_rate_hz = rate_hz,
        .channels = config->channels,
        .block = block,
        .most = (int)((int64_t)config->max_delay_ms * rate_hz / 1000),
        .most_slew_step = k_most_slew / (k_slew_ramp_s * rate_hz),
    };
    planned.slots = (planned.most + k_taps + k_slack + block - 1) / block + 1 + k_pause_blocks;
    planned.capacity = planned.slots * block;
    ae_arena arena = {0};
    (void)lay_out(&arena, &planned);
    arena = (ae_arena){ae_allocate(arena.used), 0};
    if (arena.base == NULL) return AE_ERROR_MEMORY;
    ae_sync_delay *self = lay_out(&arena, &planned);
    *self = planned;
    fill_table(self->table);
    for (int n = 0; n < block; n++) self->rising[n] = (float)sin(0.5 * k_pi * (n + 0.5) / block);
    self->target = frames_of(self, config->delay_ms);
    ae_sync_delay_reset(self);
    self->delay = frames_of(self, config->initial_delay_ms);
    *out = self;
    return AE_OK;
}

void ae_sync_delay_destroy(ae_sync_delay *self) { ae_free(self); }

void ae_sync_delay_reset(ae_sync_delay *self)
{
    for (int c = 0; c < self->channels; c++)
        ae_zero(self->line[c], self->capacity + repeated_frames(self));
    memset(self->quiet, 1, (size_t)self->slots);
    self->newest = 0;
    self->delay = self->target;
    self->slew = 0.0;
    self->floor_db = k_highest_floor_db;
    self->loud_power = ae_power_from_db(k_usual_db);
    self->loud_blocks = 0;
    self->jump_count = 0;
}

void ae_sync_delay_set_delay_ms(ae_sync_delay *self, float delay_ms)
{
    if (delay_ms != delay_ms) return;
    self->target = frames_of(self, ae_clamp(delay_ms, 0.0f, (float)k_max_delay_ms));
}

int ae_sync_delay_latency_frames(const ae_sync_delay *self)
{
    (void)self;
    return k_half;
}

int ae_sync_delay_delay_frames(const ae_sync_delay *self) { return (int)lround(self->delay); }
int ae_sync_delay_most_frames(const ae_sync_delay *self) { return self->most; }

static int is_moving(const ae_sync_delay *self)
{
    return self->delay != self->target || self->slew != 0.0;
}

void ae_sync_delay_read(const ae_sync_delay *self, ae_sync_delay_report *out)
{
    const double ms_per_frame = 1e3 / self->sample_rate_hz;
    *out = (ae_sync_delay_report){
        .delay_ms = (float)(self->delay * ms_per_frame),
        .target_ms = (float)(self->target * ms_per_frame),
        .moving = is_moving(self),
        .jump_count = self->jump_count,
    };
}

/* ---- input ---- */

static int slot_of(const ae_sync_delay *self, int age)
{
    return (self->newest - age + self->slots) % self->slots;
}

/* The ring's first frames lie behind its end too, so that reading never wraps. */
static void repeat_start(ae_sync_delay *self, int slot)
{
    const int start = slot * self->block, repeated = repeated_frames(self);
    if (start >= repeated) return;
    const int count = repeated - start < self->block ? repeated - start : self->block;
    for (int c = 0; c < self->channels; c++)
        ae_copy(self->line[c] + self->capacity + start, self->line[c] + start, count);
}

/* Returns the level of the loudest channel in dBFS. */
static float take_input(ae_sync_delay *self, const float *const *in)
{
    self->newest = (self->newest + 1) % self->slots;
    float most = 0.0f;
    for (int c = 0; c < self->channels; c++) {
        const float *restrict from = in[c];
        float *restrict to = self->line[c] + (size_t)self->newest * (size_t)self->block;
#pragma omp simd
        for (int n = 0; n < self->block; n++)
            to[n] = fabsf(from[n]) <= k_largest_sample ? from[n] : 0.0f;
        most = ae_max(most, ae_energy(to, self->block));
    }
    repeat_start(self, self->newest);
    return ae_db_from_power(most / (float)self->block);
}

/* What is neither near the noise floor nor silence is programme, and its mean power is learned. */
static void learn_level(ae_sync_delay *self, float level_db)
{
    if (self->loud_blocks < k_known_blocks) self->loud_blocks++;
    const float share = ae_max(1.0f / (float)(self->loud_blocks + 1), k_loud_share);
    self->loud_power += share * (ae_power_from_db(ae_min(level_db, 0.0f)) - self->loud_power);
}

static void judge(ae_sync_delay *self, float level_db, float speech_probability)
{
    const float step_db =
        level_db < self->floor_db ? k_floor_down * (level_db - self->floor_db) : k_floor_up_db;
    self->floor_db = ae_clamp(self->floor_db + step_db, k_lowest_floor_db, k_highest_floor_db);
    const int is_near_floor = level_db < self->floor_db + k_floor_margin_db;
    if (!is_near_floor) learn_level(self, level_db);
    const float loud_db = ae_db_from_power(self->loud_power);
    const float far_below_db =
        loud_db - (speech_probability >= 0.0f ? k_far_below_db : k_unsure_far_below_db);
    const int is_far_below = self->loud_blocks >= k_known_blocks && level_db < far_below_db;
    const int is_below = level_db < loud_db - k_below_db;
    self->quiet[self->newest] =
        (is_far_below || (is_near_floor && is_below)) && !(speech_probability >= k_speech);
}

/* ---- jumps ---- */

/* How many blocks are quiet from an age on, in steps of +1 (older) or -1, as far as the line goes.
 */
static int quiet_blocks(const ae_sync_delay *self, int age, int step)
{
    int count = 0;
    for (; age >= 0 && age < self->slots - 1 && self->quiet[slot_of(self, age)]; age += step)
        count++;
    return count;
}

/* Where to jump, as a change of the delay in frames; 0: stay. Back by no more than lies behind in
 * the same pause, on by no more than lies ahead in it. */
static int find_jump(const ae_sync_delay *self)
{
    const int here = ae_sync_delay_delay_frames(self), way = self->target - here;
    if (fabs(self->target - self->delay) < k_least_jump_s * self->sample_rate_hz) return 0;
    const int age = (k_half + here + self->block - 1) / self->block; /* the oldest block read */
    const int behind = quiet_blocks(self, age, 1), ahead = quiet_blocks(self, age - 1, -1);
    if (behind == 0 || ahead == 0) return 0;
    int blocks; /* of pause that may be played again, or left out */
    if (way > 0) {
        if (behind < k_pause_blocks) return 0;
        blocks = behind - 1 - k_edge_blocks;
    } else {
        const int ends = ahead < age; /* else it lasts, as far as anybody knows */
        if (behind + ahead < k_pause_blocks || behind <= k_edge_blocks) return 0;
        if (!ends) return way;
        blocks = ahead - 1 - k_edge_blocks;
    }
    const int most = blocks * self->block;
    if (way <= most && -way <= most) return way;
    if (blocks < k_least_blocks) return 0;
    return way > 0 ? most : -most;
}

/* ---- output ---- */

/* Index of the frame that lies `position` frames before the newest block's first. */
static int index_of(const ae_sync_delay *self, int position)
{
    const int index = self->newest * self->block - position;
    return index < 0 ? index + self->capacity : index;
}

static void read_whole(const ae_sync_delay *self, int delay, float *const *out)
{
    const int from = index_of(self, k_half + delay);
    for (int c = 0; c < self->channels; c++) ae_copy(out[c], self->line[c] + from, self->block);
}

/* The filter for a read position that lies `phase` (0 .. 1) of a frame after its middle. */
static void blend_rows(const float *table, float phase, float *restrict taps)
{
    const float place = phase * k_rows;
    const int r = ae_clamp_int((int)place, 0, k_rows - 1);
    const float weight = place - (float)r;
    const float *restrict row = table + r * k_taps;
#pragma omp simd
    for (int k = 0; k < k_taps; k++) taps[k] = row[k] + weight * (row[k + k_taps] - row[k]);
}

/* Frame n of the block at a delay that need not be whole. */
static void read_between(const ae_sync_delay *self, double delay, int n, float *const *out)
{
    const int whole = (int)ceil(delay); /* the frame at or before the wanted instant */
    float taps[k_taps];
    blend_rows(self->table, (float)(whole - delay), taps);
    const int position = k_half + whole - n + k_half - 1;
    const int from = index_of(self, position);
    for (int c = 0; c < self->channels; c++) {
        const float *restrict x = self->line[c] + from;
        float sum = 0.0f;
#pragma omp simd reduction(+ : sum)
        for (int k = 0; k < k_taps; k++) sum += x[k] * taps[k];
        out[c][n] = sum;
    }
}

/* One frame further towards the target: as fast as it may be and can still stop there. */
static void slide(ae_sync_delay *self)
{
    const double way = self->target - self->delay, step = self->most_slew_step;
    const double allowed = fmin(k_most_slew, sqrt(2.0 * step * fabs(way)));
    const double wanted = way < 0.0 ? -allowed : allowed;
    self->slew = fmin(fmax(wanted, self->slew - step), self->slew + step);
    if (fabs(way) <= fabs(self->slew) + step && way * self->slew >= 0.0) {
        self->delay = self->target;
        self->slew = 0.0;
    } else {
        self->delay += self->slew;
    }
}

static void read_sliding(ae_sync_delay *self, float *const *out)
{
    for (int n = 0; n < self->block; n++) {
        slide(self);
        read_between(self, self->delay, n, out);
    }
}

/* Fades from where it stands to a place `frames` further, over the whole block. */
static void read_jumping(ae_sync_delay *self, int frames, float *const *out)
{
    const int block = self->block, next = ae_sync_delay_delay_frames(self) + frames;
    for (int n = 0; n < block; n++) read_between(self, self->delay, n, out);
    const int from = index_of(self, k_half + next);
    for (int c = 0; c < self->channels; c++) {
        const float *restrict x = self->line[c] + from;
        float *restrict to = out[c];
        for (int n = 0; n < block; n++)
            to[n] = self->rising[block - 1 - n] * to[n] + self->rising[n] * x[n];
    }
    self->delay = next;
    self->slew = 0.0;
    self->jump_count++;
}

void ae_sync_delay_process(ae_sync_delay *self, const float *const *in, float speech_probability,
                           float *const *out)
{
    judge(self, take_input(self, in), speech_probability);
    if (!is_moving(self)) {
        read_whole(self, self->target, out);
        return;
    }
    const int frames = find_jump(self);
    if (frames != 0) {
        read_jumping(self, frames, out);
    } else {
        read_sliding(self, out);
    }
}

/* ---- change of plan ---- */

static int fits(const ae_sync_delay *self, const ae_sync_delay *from)
{
    return self->sample_rate_hz == from->sample_rate_hz && self->channels == from->channels;
}

void ae_sync_delay_take_over(ae_sync_delay *self, const ae_sync_delay *from)
{
    if (!fits(self, from)) return;
    const int slots = self->slots < from->slots ? self->slots : from->slots;
    for (int age = 0; age < slots; age++) {
        const int to_slot = slot_of(self, age), from_slot = slot_of(from, age);
        for (int c = 0; c < self->channels; c++)
            ae_copy(self->line[c] + (size_t)to_slot * (size_t)self->block,
                    from->line[c] + (size_t)from_slot * (size_t)self->block, self->block);
        self->quiet[to_slot] = from->quiet[from_slot];
        repeat_start(self, to_slot);
    }
    const int too_long = from->delay > self->most;
    self->delay = too_long ? self->most : from->delay;
    self->slew = too_long ? 0.0 : from->slew;
    self->floor_db = from->floor_db;
    self->loud_power = from->loud_power;
    self->loud_blocks = from->loud_blocks;
    self->jump_count = from->jump_count;
}

void ae_sync_delay_blend_newest(ae_sync_delay *self, const ae_sync_delay *from, float share_start,
                                float share_end)
{
    if (!fits(self, from) || self->delay < self->block + k_slack) return;
    const float step = (share_end - share_start) / (float)self->block;
    for (int c = 0; c < self->channels; c++) {
        float *restrict own = self->line[c] + (size_t)self->newest * (size_t)self->block;
        const float *restrict theirs = from->line[c] + (size_t)from->newest * (size_t)self->block;
        for (int n = 0; n < self->block; n++)
            own[n] = theirs[n] + (share_start + step * (float)(n + 1)) * (own[n] - theirs[n]);
    }
    repeat_start(self, self->newest);
    if (share_end < 1.0f) self->quiet[self->newest] = from->quiet[from->newest];
}
