#include "ae_echo_filter.h"

#include "ae_delay.h"
#include "ae_echo_align.h"
#include "ae_far_end.h"
#include "ae_kalman.h"
#include "ae_math.h"

static const float k_main_memory = 0.99995f; /* per block: half life 140 s */
static const float k_fast_memory = 0.998f;   /* 3.5 s */
static const float k_far_floor = 1e-8f;      /* mean power below which the far end is silent */
static const int k_low_hz = 8000;            /* the late tail holds bins below this only */
static const int k_full_ms = 60;             /* the first part of the tail, which holds all bins */
static const int k_branch_ms = 60;
/* The tail grows by half when its last quarter holds 0.5 % of the energy and more: T60 above 0.4 s.
 */
static const float k_tail_share = 0.005f;
static const float k_good_share = 0.1f;  /* error / capture of a filter worth remembering */
static const int k_remember_blocks = 30; /* how often it is remembered */
/* An echo path is believed in for 0.5 s of active far end at first; for 0.25 s per unit that a
 * found correlation peak stands above 8 (chance reaches 9 now and then, an echo 20 to 60), for 4 s
 * at most; and while the filter takes away 6 dB before it learns from the block. */
static const int k_first_trust_blocks = 50, k_most_trust_blocks = 400;
static const float k_trust_blocks_per_quality = 25.0f, k_least_quality = 8.0f;
static const float k_trust_share = 0.25f;
static const float k_trust_rise = 0.5f, k_trust_fall = 0.1f; /* per block */
/* What comes with the first far end is held back until its lag is found (0.2 s), for 0.8 s of
 * active far end at most. An echo later than half the tail had to wait for that lag to be learned
 * at all: 12 blocks more. Not where the microphone was as loud before, within 6 dB. */
static const int k_unheard_blocks = 80, k_found_blocks = 12;
static const float k_unheard_rise = 4.0f, k_before_keep = 0.99f;
/* Skew: taken out from 6 ppm on, after 1 s of pairs; then corrected every 2.4 s by 2 ppm and more.
 */
static const int k_first_drift_pairs = 20, k_drift_pairs = 60;
static const float k_least_drift_ppm = 6.0f, k_least_change_ppm = 2.0f;
static const float k_least_inside_ms = 2.0f; /* of the first arrival inside the filter */
static const double k_most_skew = 600e-6;
/* The microphone clips when three samples of a block lie within 1e-4 of its peak (converters before
 * us may add their rounding), the block's peak is that of the last seconds, and not small. */
static const float k_rail_share = 0.9999f, k_least_rail = 0.05f, k_peak_keep = 0.999f;
static const int k_rail_frames = 3, k_clip_blocks = 6;
/* Which of two finders is believed: quality smoothed over ten rounds, halved per second without
 * rounds; another one must be better by a third, and by 2 where neither hears much. */
static const float k_clarity_rate = 0.1f, k_clarity_keep = 0.998f;
static const double k_moved_ms = 2.0; /* a lag that differs by less is the same */
static const double k_reach = 0.5;    /* of the tail: what a filter surely spans */
static const float k_clearer = 1.33f, k_clearer_least = 2.0f;
/* Shares of two channels in the view's far end: unequal, so that antiphase does not vanish. */
static const float k_mix[AE_FAR_CHANNELS] = {0.6f, 0.4f};
static const float k_lead_rate = 0.2f, k_most_lead_db = 12.0f;
static const float k_adopt_lead_db = 2.0f, k_return_lead_db = 5.0f;
static const float k_harm_share = 0.5f;
static const float k_collapse_doubt = 0.1f;
static const float k_doubt = 0.02f; /* share of the prior covariance after a move */

struct ae_echo_filter {
    ae_echo_filter_config config;
    int block, bins;
    ae_kalman_config kalman;
    ae_far_end *far;
    ae_delay *finder[AE_FAR_CHANNELS];
    ae_echo_align *align;
    ae_kalman *main_filter, *fast_filter;
    float *capture, *echo, *prior_echo, *main_echo, *fast_echo, *main_error, *fast_error;
    float *misadjustment;
    float *last_capture, *last_far_end[AE_FAR_CHANNELS], *scratch;
    float *far_mix;    /* of two channels, for the view */
    float prior_power; /* of the main filter's error before it learned from the block */
    float main_power, fast_power, capture_power, far_power, echo_power; /* smoothed, per block */
    float fast_lead_db;  /* how much less error the fast filter leaves, smoothed */
    int good_blocks;     /* for how long the main filter has cancelled well */
    int trust_blocks;    /* active blocks left until an echo path is no longer believed in */
    int unheard_blocks;  /* active blocks left in which an unknown echo is held back */
    int was_found;       /* view.lag_found of the last block */
    float before_energy; /* of the loudest capture block in the last second without far end */
    ae_delay_report heard[AE_FAR_CHANNELS]; /* by each finder */
    float clarity[AE_FAR_CHANNELS];         /* of what it hears: its quality, smoothed */
    int ear;                                /* the finder that is believed */
    ae_delay_report found;                  /* by it; `accepted` counts on when the ear changes */
    double lag_frames;              /* of the echo, on the clock of the newest far-end frame */
    double lag_of[AE_FAR_CHANNELS]; /* of each channel's echo; < 0: not known */
    double finder_age;              /* age of the far-end frames that the finder hears now */
    float weight;                   /* share of the echo estimate that was subtracted last */
    int found_count;                /* rounds the finder had accepted one block ago */
    float rail, held_peak; /* level at which the microphone clips in this block; recent peak */
    int clip_blocks;       /* for how long it still counts as clipped */
    int divergence_count;
    int skew_is_doubted; /* it comes from another session and has not been confirmed yet */
    ae_echo_view view;
};

ae_echo_filter_config ae_echo_filter_default_config(int sample_rate_hz)
{
    return (ae_echo_filter_config){
        .sample_rate_hz = sample_rate_hz, .tail_ms = 240, .max_delay_ms = 1000, .far_channels = 1};
}

static size_t lay_out(ae_echo_filter *self, void *memory)
{
    ae_arena arena = {memory, 0};
    AE_TAKE(&arena, 1, ae_echo_filter);
    self->capture = AE_TAKE(&arena, self->block, float);
    self->echo = AE_TAKE(&arena, self->block, float);
    self->prior_echo = AE_TAKE(&arena, self->block, float);
    self->main_echo = AE_TAKE(&arena, self->block, float);
    self->misadjustment = AE_TAKE(&arena, self->bins, float);
    self->fast_echo = AE_TAKE(&arena, self->block, float);
    self->last_capture = AE_TAKE(&arena, self->block, float);
    for (int c = 0; c < self->config.far_channels; c++)
        self->last_far_end[c] = AE_TAKE(&arena, self->block, float);
    self->far_mix = AE_TAKE(&arena, self->block, float);
    self->scratch = AE_TAKE(&arena, self->block, float);
    self->main_error = AE_TAKE(&arena, self->block, float);
    self->fast_error = AE_TAKE(&arena, self->block, float);
    return arena.used;
}

static ae_kalman_config kalman_shape(const ae_echo_filter_config *config)
{
    const int block = ae_block_frames(config->sample_rate_hz);
    const int fft_size = ae_fft_good_size(2 * block), first = (config->tail_ms + 9) / 10;
    const int low_bins = (int)((int64_t)k_low_hz * fft_size / config->sample_rate_hz) + 1;
    return (ae_kalman_config){
        .channels = config->far_channels,
        .block_frames = block,
        .fft_size = fft_size,
        .partitions = first + first / 2,
        .first_partitions = first,
        .branch_partitions = k_branch_ms / 10,
        .full_partitions = ae_clamp_int(k_full_ms / 10, 1, first),
        .low_bins = ae_clamp_int(low_bins, 1, fft_size / 2 + 1),
        .memory = k_main_memory,
    };
}

static ae_status create_parts(ae_echo_filter *self)
{
    const int rate = self->config.sample_rate_hz, max_delay_ms = self->config.max_delay_ms;
    const ae_far_end_config far = {
        .channels = self->config.far_channels,
        .block_frames = self->block,
        .fft_size = self->kalman.fft_size,
        .partitions = self->kalman.partitions,
        .branch_partitions = self->kalman.branch_partitions,
        .max_delay_frames = (int)((int64_t)max_delay_ms * rate / 1000) + self->block,
        .extra_blocks = 2 * AE_ECHO_ALIGN_BLOCKS,
    };
    const ae_delay_config finder = {rate, max_delay_ms};
    const ae_echo_align_config align = {rate, self->kalman};
    ae_kalman_config fast = self->kalman;
    fast.memory = k_fast_memory;
    ae_status status = ae_far_end_create(&self->far, &far);
    for (int c = 0; c < self->config.far_channels && status == AE_OK; c++)
        status = ae_delay_create(&self->finder[c], &finder);
    if (status == AE_OK) status = ae_echo_align_create(&self->align, &align);
    if (status == AE_OK) status = ae_kalman_create(&self->main_filter, &self->kalman);
    if (status == AE_OK) status = ae_kalman_create(&self->fast_filter, &fast);
    return status;
}

/* The newest delayed block of the one channel, or the mix of two. */
static const float *far_end_of_view(const ae_echo_filter *self)
{
    if (self->config.far_channels > 1) return self->far_mix;
    return ae_far_end_segment(self->far, 0) + self->kalman.fft_size - self->block;
}

ae_status ae_echo_filter_create(ae_echo_filter **out, const ae_echo_filter_config *config)
{
    *out = NULL;
    if (config->sample_rate_hz < AE_MIN_RATE_HZ || config->sample_rate_hz > AE_MAX_RATE_HZ ||
        config->tail_ms < 40 || config->tail_ms > 480 || config->max_delay_ms < 0 ||
        config->max_delay_ms > 1000 || config->far_channels < 1 ||
        config->far_channels > AE_FAR_CHANNELS)
        return AE_ERROR_ARGUMENT;
    ae_echo_filter shape = {.config = *config, .kalman = kalman_shape(config)};
    shape.block = shape.kalman.block_frames;
    shape.bins = shape.kalman.fft_size / 2 + 1;
    ae_echo_filter *self = ae_allocate(lay_out(&shape, NULL));
    if (self == NULL) return AE_ERROR_MEMORY;
    *self = shape;
    lay_out(self, self);
    const ae_status status = create_parts(self);
    if (status != AE_OK) {
        ae_echo_filter_destroy(self);
        return status;
    }
    self->view = (ae_echo_view){.frames = self->block,
                                .capture = self->capture,
                                .far_end = far_end_of_view(self),
                                .echo = self->echo,
                                .prior_echo = self->prior_echo,
                                .misadjustment_power = self->misadjustment,
                                .misadjustment_bins = self->bins};
    ae_echo_filter_reset(self);
    *out = self;
    return AE_OK;
}

void ae_echo_filter_destroy(ae_echo_filter *self)
{
    if (self == NULL) return;
    ae_far_end_destroy(self->far);
    for (int c = 0; c < AE_FAR_CHANNELS; c++) ae_delay_destroy(self->finder[c]);
    ae_echo_align_destroy(self->align);
    ae_kalman_destroy(self->main_filter);
    ae_kalman_destroy(self->fast_filter);
    ae_free(self);
}

void ae_echo_filter_reset(ae_echo_filter *self)
{
    ae_far_end_reset(self->far);
    for (int c = 0; c < self->config.far_channels; c++) {
        ae_delay_reset(self->finder[c]);
        ae_delay_read(self->finder[c], &self->heard[c]);
        ae_zero(self->last_far_end[c], self->block);
        self->clarity[c] = 0.0f;
    }
    self->ear = 0;
    self->found = self->heard[0];
    ae_echo_align_reset(self->align);
    ae_kalman_reset(self->main_filter);
    ae_kalman_reset(self->fast_filter);
    ae_zero(self->capture, self->block);
    ae_zero(self->last_capture, self->block);
    ae_zero(self->far_mix, self->block);
    self->lag_frames = self->lag_of[0] = self->lag_of[1] = -1.0;
    self->finder_age = (double)self->block;
    ae_zero(self->echo, self->block);
    ae_zero(self->prior_echo, self->block);
    ae_zero(self->misadjustment, self->bins);
    self->main_power = self->fast_power = self->capture_power = 1e-9f;
    self->far_power = self->echo_power = self->prior_power = 1e-9f;
    self->good_blocks = self->divergence_count = self->found_count = 0;
    self->view.far_active = self->view.capture_clipped = self->view.lag_found = 0;
    self->view.trust = self->weight = 1.0f;
    self->rail = INFINITY;
    self->held_peak = 0.0f;
    self->clip_blocks = 0;
    self->fast_lead_db = 0.0f;
    self->skew_is_doubted = 0;
    self->trust_blocks = k_first_trust_blocks;
    self->unheard_blocks = k_unheard_blocks;
    self->was_found = 0;
    self->before_energy = 0.0f;
    self->view.unheard = 0;
}

int ae_echo_filter_latency_frames(const ae_echo_filter *self)
{
    (void)self;
    return 0;
}

int ae_echo_filter_far_channels(const ae_echo_filter *self) { return self->config.far_channels; }

const ae_echo_view *ae_echo_filter_view(const ae_echo_filter *self) { return &self->view; }

/* Which filter speaks for the echo path (notes/aec.md 2.2): by the mean of the level difference of
 * their errors before learning, which a single loud block cannot sway. */
static void compare_filters(ae_echo_filter *self, float main_energy, float fast_energy)
{
    const float least = k_far_floor * (float)self->block;
    const float difference_db = ae_db_from_power((main_energy + least) / (fast_energy + least));
    self->fast_lead_db += k_lead_rate * (ae_clamp(difference_db, -k_most_lead_db, k_most_lead_db) -
                                         self->fast_lead_db);
    if (self->fast_lead_db > k_adopt_lead_db) {
        ae_kalman_adopt(self->main_filter, self->fast_filter);
        self->fast_lead_db = 0.0f;
    } else if (self->fast_lead_db < -k_return_lead_db) {
        ae_kalman_adopt(self->fast_filter, self->main_filter);
        self->fast_lead_db = 0.0f;
    }
    if (self->main_power > 1.5f * self->capture_power && self->main_power > 1e-5f) {
        ae_kalman_shrink(self->main_filter, 0.5f);
        self->divergence_count++;
    }
}

/* Feed a channel's finder. It hears the capture one block late, and the far end as much later plus
 * the drift that has been taken out so far, so that its lag stands still while the clocks differ.
 * Its clarity is that of the rounds it makes, and wanes while it makes none. */
static void feed_finder(ae_echo_filter *self, int channel, const float *far_end)
{
    const int block = self->block, rounds = self->heard[channel].rounds;
    const float *past = self->last_far_end[channel];
    if (self->finder_age != (double)block) {
        ae_far_end_read(self->far, channel, self->finder_age, block, self->scratch);
        past = self->scratch;
    }
    ae_delay_process(self->finder[channel], self->last_capture, past);
    ae_copy(self->last_far_end[channel], far_end, block);
    ae_delay_read(self->finder[channel], &self->heard[channel]);
    const ae_delay_report *heard = &self->heard[channel];
    if (heard->rounds != rounds)
        self->clarity[channel] += k_clarity_rate * (heard->quality - self->clarity[channel]);
    else
        self->clarity[channel] *= k_clarity_keep;
}

/* A channel's finder has come to a lag. If that is a jump, the other's is out of date. */
static void take_lag(ae_echo_filter *self, int channel)
{
    const double block = (double)self->block, before = self->lag_of[channel];
    const double lag = (double)self->heard[channel].lag_frames + self->finder_age - block;
    const double moved_ms = fabs(lag - before) * 1000.0 / self->config.sample_rate_hz;
    if (before >= 0.0 && moved_ms > k_moved_ms) self->lag_of[0] = self->lag_of[1] = -1.0;
    self->lag_of[channel] = lag;
}

/* Frames behind the bulk delay that the filter surely spans: half of the tail. */
static double reach_frames(const ae_echo_filter *self)
{
    return k_reach * (double)(self->kalman.first_partitions * self->block);
}

/* The believed finder's lag, or the other's where it is earlier and the tail spans both. */
static double lag_of_both(const ae_echo_filter *self)
{
    const double own = self->lag_of[self->ear], other = self->lag_of[1 - self->ear];
    return other >= 0.0 && other < own && own - other < reach_frames(self) ? other : own;
}

/* Ask the finders. With two channels, believe the one that hears its echo clearly better. */
static void listen(ae_echo_filter *self, const float *const *far_end)
{
    const int channels = self->config.far_channels;
    const int accepted = self->heard[self->ear].accepted;
    for (int c = 0; c < channels; c++) {
        const int before = self->heard[c].accepted;
        feed_finder(self, c, far_end[c]);
        if (self->heard[c].accepted != before) take_lag(self, c);
    }
    ae_copy(self->last_capture, self->capture, self->block);
    const int fresh = self->heard[self->ear].accepted - accepted, so_far = self->found.accepted;
    self->found = self->heard[self->ear];
    self->found.accepted = so_far + fresh;
    if (fresh > 0) self->lag_frames = lag_of_both(self);
    const int other = channels - 1 - self->ear;
    if (self->clarity[other] > k_clearer * self->clarity[self->ear] + k_clearer_least)
        self->ear = other;
}

static void restart_drift(ae_echo_filter *self)
{
    for (int c = 0; c < self->config.far_channels; c++) ae_delay_restart_drift(self->finder[c]);
}

/* One block of drift has passed. */
static void carry_drift(ae_echo_filter *self)
{
    const double drift = ae_far_end_skew(self->far) * (double)self->block;
    if (drift == 0.0) return;
    self->finder_age += drift;
    self->lag_frames += drift;
    for (int c = 0; c < AE_FAR_CHANNELS; c++)
        if (self->lag_of[c] >= 0.0) self->lag_of[c] = fmax(self->lag_of[c] + drift, 0.0);
    ae_echo_align_drift(self->align, drift);
    if (self->finder_age >= AE_FAR_END_REACH && self->finder_age <= 2.0 * (double)self->block)
        return;
    self->finder_age = (double)self->block;
    for (int c = 0; c < self->config.far_channels; c++) ae_delay_moved(self->finder[c]);
}

/* Shift both filters by whole blocks of bulk delay, the echo path staying where it is. */
static void shift_filters(ae_echo_filter *self, int blocks)
{
    ae_far_end_set_delay(self->far, ae_far_end_delay(self->far) + (double)(blocks * self->block));
    ae_kalman_shift(self->main_filter, blocks);
    ae_kalman_shift(self->fast_filter, blocks);
    ae_kalman_doubt(self->main_filter, k_doubt);
    ae_kalman_doubt(self->fast_filter, k_doubt);
}

/* A shrinking lag eats the bulk delay up, which skewed reading needs some frames of: take a block
 * of it from what the filter spans before the first arrival. Returns whether there is room now. */
static int make_room(ae_echo_filter *self)
{
    const double delay = ae_far_end_delay(self->far);
    if (delay >= 2.0 * AE_FAR_END_REACH) return 1;
    const double spare_frames = self->lag_frames - delay - (double)self->block;
    if (spare_frames * 1000.0 < (double)k_least_inside_ms * self->config.sample_rate_hz) return 0;
    shift_filters(self, 1);
    return 1;
}

/* Take out the drift of the lag that the finder measures on top of what is taken out already. */
static void steer_skew(ae_echo_filter *self)
{
    const double skew = ae_far_end_skew(self->far);
    if (self->found.drift_pairs >= k_drift_pairs) self->skew_is_doubted = 0;
    const int is_first = skew == 0.0 || self->skew_is_doubted;
    const int needed = is_first ? k_first_drift_pairs : k_drift_pairs;
    const float least_ppm = is_first ? k_least_drift_ppm : k_least_change_ppm;
    const int room = skew < 0.0 ? make_room(self) : 1;
    if (self->found.drift_pairs < needed) return;
    if (fabsf(self->found.drift_ppm) < least_ppm) return;
    const double wanted = skew + (double)self->found.drift_ppm * 1e-6;
    if (wanted < 0.0 && !(room && make_room(self))) return;
    const double before = ae_far_end_delay(self->far);
    ae_far_end_set_skew(self->far, fmin(fmax(wanted, -k_most_skew), k_most_skew));
    restart_drift(self);
    self->skew_is_doubted = 0;
    if (ae_far_end_delay(self->far) == before) return;
    ae_kalman_doubt(self->main_filter, k_doubt);
    ae_kalman_doubt(self->fast_filter, k_doubt);
}

/* Move both filters to where the finder hears the echo. error_energy: of the main filter before it
 * learned from the block, as a remembered path has not learned from it either. */
static void follow_delay(ae_echo_filter *self, float error_energy)
{
    const ae_kalman *remembered = NULL;
    const double before = ae_far_end_delay(self->far);
    double delay = before;
    if (!ae_echo_align_step(self->align, self->far, self->capture, error_energy,
                            self->found.accepted, self->lag_frames, &delay, &remembered))
        return;
    if (remembered != NULL) {
        ae_far_end_set_delay(self->far, delay);
        ae_kalman_copy_path(self->main_filter, remembered);
        ae_kalman_copy_path(self->fast_filter, remembered);
        ae_kalman_doubt(self->main_filter, k_doubt);
        ae_kalman_doubt(self->fast_filter, k_doubt);
        restart_drift(self);
    } else {
        shift_filters(self, (int)lrint((delay - before) / (double)self->block));
    }
    self->main_power = self->fast_power = self->capture_power;
    self->fast_lead_db = 0.0f;
}

static void grow_tail(ae_echo_filter *self)
{
    if (ae_kalman_tail_share(self->main_filter) < k_tail_share) return;
    ae_kalman_grow(self->main_filter);
    ae_kalman_grow(self->fast_filter);
}

/* Remember a path that cancels well; after it has worked, its collapse is news to the finder. */
static void remember_path(ae_echo_filter *self)
{
    if (!self->view.far_active) return;
    if (self->prior_power < k_good_share * self->capture_power) {
        if (++self->good_blocks % k_remember_blocks == 0 && self->found.accepted > 0) {
            grow_tail(self);
            ae_echo_align_remember(self->align, self->main_filter, ae_far_end_delay(self->far),
                                   self->lag_frames);
        }
    } else if (self->main_power > 0.5f * self->capture_power &&
               self->echo_power > 0.25f * self->capture_power) {
        if (self->good_blocks >= k_remember_blocks) {
            for (int c = 0; c < self->config.far_channels; c++) ae_delay_forget(self->finder[c]);
            ae_kalman_doubt(self->fast_filter, k_collapse_doubt);
        }
        self->good_blocks = 0;
    }
}

/* Mean over the channels of the energy of the newest `count` frames at the filter's start. */
static float far_energy(const ae_echo_filter *self, int count)
{
    const int channels = self->config.far_channels, from = self->kalman.fft_size - count;
    float sum = 0.0f;
    for (int c = 0; c < channels; c++)
        sum += ae_energy(ae_far_end_segment(self->far, c) + from, count);
    return sum / (float)channels;
}

static void smooth(float *mean, const float *signal, int count)
{
    *mean += 0.1f * (ae_energy(signal, count) - *mean);
}

static void smooth_powers(ae_echo_filter *self)
{
    smooth(&self->main_power, self->main_error, self->block);
    smooth(&self->fast_power, self->fast_error, self->block);
    smooth(&self->capture_power, self->capture, self->block);
    self->far_power += 0.1f * (far_energy(self, self->block) - self->far_power);
    smooth(&self->echo_power, self->main_echo, self->block);
}

/* error = capture - echo. Where the microphone sits at its rail, the echo cannot be larger than
 * that: what lies beyond was cut off, and is no error. */
static void subtract(const ae_echo_filter *self, float *restrict echo, float *restrict error)
{
    const float *restrict capture = self->capture;
    const float rail = self->rail;
#pragma omp simd
    for (int i = 0; i < self->block; i++) {
        const float bounded = ae_clamp(echo[i], -fabsf(capture[i]), fabsf(capture[i]));
        echo[i] = fabsf(capture[i]) >= rail ? bounded : echo[i];
        error[i] = capture[i] - echo[i];
    }
}

/* A converter at its rail repeats its largest value; a signal hardly ever does. */
static void find_rail(ae_echo_filter *self)
{
    float peak = 0.0f;
    for (int i = 0; i < self->block; i++) peak = fmaxf(peak, fabsf(self->capture[i]));
    int at_peak = 0;
    const float level = peak * k_rail_share;
    for (int i = 0; i < self->block; i++) at_peak += fabsf(self->capture[i]) >= level;
    self->held_peak = fmaxf(peak, self->held_peak * k_peak_keep);
    const int clipped =
        peak > k_least_rail && at_peak >= k_rail_frames && level > 0.97f * self->held_peak;
    self->clip_blocks = clipped ? k_clip_blocks : self->clip_blocks - (self->clip_blocks > 0);
    self->rail = clipped ? level : INFINITY;
    self->view.capture_clipped = self->clip_blocks > 0;
}

/* Is there an echo path at all? With a headset there is none, and a filter that looks for one takes
 * the near end for echo. Believed at first, then as long as the finder hears it or it is cancelled.
 */
static void judge_trust(ae_echo_filter *self)
{
    int blocks = 0;
    if (self->found.accepted != self->found_count)
        blocks = (int)(k_trust_blocks_per_quality * (self->found.quality - k_least_quality));
    if (self->view.far_active && self->prior_power < k_trust_share * self->capture_power)
        blocks = k_most_trust_blocks;
    self->found_count = self->found.accepted;
    self->view.lag_found = self->found.accepted > 0;
    blocks = ae_clamp_int(blocks, 0, k_most_trust_blocks);
    if (blocks > 0 && self->trust_blocks == 0) {
        /* While it heard no echo, the filter has unlearned the path with confidence. */
        ae_kalman_doubt(self->main_filter, k_collapse_doubt);
        ae_kalman_doubt(self->fast_filter, k_collapse_doubt);
    }
    if (blocks > self->trust_blocks)
        self->trust_blocks = blocks;
    else if (self->trust_blocks > 0)
        self->trust_blocks -= self->view.far_active;
    const float step = self->trust_blocks > 0 ? k_trust_rise : -k_trust_fall;
    self->view.trust = ae_clamp(self->view.trust + step, 0.0f, 1.0f);
}

/* Nothing is known of an echo path before the first far end has played for a while. */
static void judge_unheard(ae_echo_filter *self)
{
    const float energy = ae_energy(self->capture, self->block);
    const int louder = energy > k_unheard_rise * self->before_energy;
    if (self->view.lag_found && !self->was_found)
        self->unheard_blocks = self->lag_frames > reach_frames(self) ? k_found_blocks : 0;
    self->was_found = self->view.lag_found;
    if (self->prior_power < k_trust_share * self->capture_power) self->unheard_blocks = 0;
    if (!self->view.far_active)
        self->before_energy = fmaxf(k_before_keep * self->before_energy, energy);
    else if (self->unheard_blocks > 0 && (louder || !self->view.lag_found))
        self->unheard_blocks--;
    self->view.unheard = self->view.far_active && self->unheard_blocks > 0 && louder;
}

/* Share of the echo estimate that is subtracted: all, unless that would make the block louder by
 * more than chance does (near end and echo may well cancel in a block). */
static float harmless_share(const ae_echo_filter *self)
{
    const float *restrict capture = self->capture, *restrict echo = self->main_echo;
    float both = 0.0f, own = 0.0f, all = 0.0f;
#pragma omp simd reduction(+ : both, own, all)
    for (int i = 0; i < self->block; i++) {
        both += capture[i] * echo[i];
        own += echo[i] * echo[i];
        all += capture[i] * capture[i];
    }
    if (own - 2.0f * both <= k_harm_share * all) return 1.0f;
    return ae_clamp(both / (own + 1e-20f), 0.0f, 1.0f);
}

static void mix_far_end(ae_echo_filter *self)
{
    const int from = self->kalman.fft_size - self->block;
    const float *restrict a = ae_far_end_segment(self->far, 0) + from;
    const float *restrict b = ae_far_end_segment(self->far, 1) + from;
    float *restrict mix = self->far_mix;
#pragma omp simd
    for (int i = 0; i < self->block; i++) mix[i] = k_mix[0] * a[i] + k_mix[1] * b[i];
}

static void fill_view(ae_echo_filter *self)
{
    if (self->config.far_channels > 1) mix_far_end(self);
    const float *restrict main_echo = self->main_echo;
    float *restrict prior_echo = self->prior_echo;
    const float *restrict misadjustment = ae_kalman_misadjustment(self->main_filter);
    float *restrict echo = self->echo, *restrict weighted = self->misadjustment;
    const float before = self->weight, after = self->view.trust * harmless_share(self);
    const float slope = (after - before) / (float)self->block;
    const float trust2 = self->view.trust * self->view.trust;
#pragma omp simd
    for (int i = 0; i < self->block; i++) {
        const float weight = before + slope * (float)(i + 1);
        echo[i] = main_echo[i] * weight;
        prior_echo[i] *= weight;
    }
#pragma omp simd
    for (int k = 0; k < self->bins; k++) weighted[k] = trust2 * misadjustment[k];
    self->weight = after;
}

void ae_echo_filter_process(ae_echo_filter *self, const float *capture, const float *const *far_end,
                            float *error)
{
    const int block = self->block, fft_size = self->kalman.fft_size;
    const ae_far_spectra *spectra = ae_far_end_spectra(self->far);
    ae_copy(self->capture, capture, block);
    find_rail(self);
    ae_far_end_push(self->far, far_end);
    ae_kalman_predict(self->main_filter, spectra, self->main_echo);
    ae_kalman_predict(self->fast_filter, spectra, self->fast_echo);
    subtract(self, self->main_echo, self->main_error);
    subtract(self, self->fast_echo, self->fast_error);
    smooth(&self->prior_power, self->main_error, block);
    const float main_energy = ae_energy(self->main_error, block);
    const float fast_energy = ae_energy(self->fast_error, block);
    self->view.far_active = far_energy(self, fft_size) > k_far_floor * (float)fft_size;
    ae_copy(self->prior_echo, self->main_echo, block);
    if (self->view.far_active) {
        /* The output is what the filter leaves after learning from this very block. */
        self->divergence_count +=
            ae_kalman_adapt(self->main_filter, spectra, self->main_error, self->main_echo);
        self->divergence_count +=
            ae_kalman_adapt(self->fast_filter, spectra, self->fast_error, NULL);
        subtract(self, self->main_echo, self->main_error);
    }
    smooth_powers(self);
    if (self->view.far_active) compare_filters(self, main_energy, fast_energy);
    carry_drift(self);
    listen(self, far_end);
    follow_delay(self, main_energy);
    remember_path(self);
    steer_skew(self);
    judge_trust(self);
    judge_unheard(self);
    fill_view(self);
    subtract(self, self->echo, error);
}

void ae_echo_filter_read(const ae_echo_filter *self, ae_echo_filter_report *out)
{
    const ae_delay_report found = self->found;
    out->erle_db = ae_db_from_power(self->capture_power) - ae_db_from_power(self->main_power);
    out->echo_return_loss_db =
        ae_db_from_power(self->far_power) - ae_db_from_power(self->echo_power);
    out->delay_ms =
        (float)(1000.0 * ae_far_end_delay(self->far) / (double)self->config.sample_rate_hz);
    out->drift_ppm = (float)(1e6 * ae_far_end_skew(self->far));
    out->delay_confidence = found.accepted > 0 ? ae_clamp(found.quality / 20.0f, 0.0f, 1.0f) : 0.0f;
    out->no_echo_path = self->trust_blocks == 0;
    out->divergence_count = self->divergence_count;
}

ae_echo_filter_shape ae_echo_filter_shape_of(const ae_echo_filter *self)
{
    const ae_kalman_config *kalman = &self->kalman;
    return (ae_echo_filter_shape){
        .config = self->config,
        .block_frames = kalman->block_frames,
        .fft_size = kalman->fft_size,
        .partitions = kalman->partitions,
        .branch_partitions = kalman->branch_partitions,
        .full_partitions = kalman->full_partitions,
        .low_bins = kalman->low_bins,
        .far_channels = self->config.far_channels,
        .max_delay_frames = ae_far_end_max_delay(self->far),
        .floats = ae_kalman_state_floats(self->main_filter),
    };
}

void ae_echo_filter_write_state(const ae_echo_filter *self, ae_echo_filter_place *place,
                                float *path)
{
    place->delay_frames = ae_far_end_delay(self->far);
    place->lag_frames = self->lag_frames;
    place->skew = ae_far_end_skew(self->far);
    ae_kalman_write_state(self->main_filter, path);
}

int ae_echo_filter_state_is_sound(ae_echo_filter *self, const ae_echo_filter_place *place,
                                  const float *path)
{
    const double most = (double)ae_far_end_max_delay(self->far);
    const double span = (double)(self->kalman.partitions * self->block);
    return place->delay_frames >= 0.0 && place->delay_frames <= most &&
           place->lag_frames >= -1.0 - span && place->lag_frames <= most + span &&
           fabs(place->skew) <= k_most_skew && ae_kalman_state_is_sound(self->main_filter, path);
}

/* The main filter trusts the state, but for a small share; the fast one holds the same path with
 * the covariance of a new filter, and so learns another room as quickly as one. */
void ae_echo_filter_read_state(ae_echo_filter *self, const ae_echo_filter_place *place,
                               const float *path)
{
    ae_echo_filter_reset(self);
    self->unheard_blocks = 0; /* the path is known */
    self->was_found = 1;
    ae_far_end_set_skew(self->far, place->skew);
    ae_far_end_set_delay(self->far, place->delay_frames);
    self->skew_is_doubted = place->skew != 0.0;
    ae_kalman_read_state(self->main_filter, path);
    ae_kalman_doubt(self->main_filter, k_doubt);
    ae_kalman_copy_path(self->fast_filter, self->main_filter);
    if (place->lag_frames < 0.0) return;
    self->lag_frames = place->lag_frames;
    ae_echo_align_remember(self->align, self->main_filter, ae_far_end_delay(self->far),
                           self->lag_frames);
    ae_echo_align_doubt(self->align);
}

int ae_echo_filter_has_learned(const ae_echo_filter *self)
{
    return ae_echo_align_has_learned(self->align);
}
