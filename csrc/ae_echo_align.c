#include "ae_echo_align.h"

#include "ae_math.h"

static const float k_moved_ms = 2.0f; /* a lag that differs by less is the same */
static const float k_early_ms = 2.0f; /* the first arrival should lie this far inside the filter */
static const float k_late_ms = 25.0f; /* ... and not farther than this */
static const float k_headroom_ms = 5.0f;  /* where a shift puts it, to within one partition */
static const float k_range_ms = 1.0f;     /* how far a first finding may be off: speech, 0.6 ms */
static const float k_better_share = 0.7f; /* a trial must leave less than this of the error */
static const int k_retry_blocks = 50;     /* the same lag is tried again after 0.5 s */
static const int k_steady_rounds = 25;    /* 1 s of agreement moves a filter that once worked */
enum { k_blocks = AE_ECHO_ALIGN_BLOCKS };
enum {
    k_first_spectra = 1,
    k_last_spectra = 2,
    k_first_half = 3,
    k_second_half = 4,
    k_verdict = 5
};

struct ae_echo_align {
    ae_echo_align_config config;
    ae_kalman *remembered;
    int has_remembered;
    int is_doubted;          /* what is remembered has not worked in this session yet */
    int failed_trials;       /* of it, since then */
    double remembered_delay; /* bulk delay it was learned at */
    double remembered_lag;   /* what the finder said then */
    int range;               /* frames the refinement looks to each side */
    ae_far_spectra trial; /* far end at the trial's delay: partitions + k_blocks - 1 per channel */
    float *capture;       /* ring of the last k_blocks blocks */
    float *target, *predicted;
    float energy[k_blocks]; /* of the running filter's error, ring */
    int at;                 /* ring position of the oldest block */
    int stage;              /* of the trial, one per block; 0: none */
    int trial_age;          /* blocks since the trial began */
    double trial_delay, trial_lag;
    float trial_energy; /* what the running filter left of the trial's blocks */
    double tried_lag;
    int rest; /* blocks until tried_lag may be tried again */
    double steady_lag;
    int accepted; /* findings seen */
    int steady;   /* of these, how many in a row said steady_lag */
};

static size_t lay_out(ae_echo_align *self, void *memory)
{
    ae_arena arena = {memory, 0};
    const int span = k_blocks * self->config.kalman.block_frames;
    AE_TAKE(&arena, 1, ae_echo_align);
    const int trial = ae_far_spectra_rows(&self->trial) * self->trial.stride;
    self->trial.re = AE_TAKE(&arena, trial, float);
    self->trial.im = AE_TAKE(&arena, trial, float);
    self->capture = AE_TAKE(&arena, span, float);
    self->target = AE_TAKE(&arena, span, float);
    self->predicted = AE_TAKE(&arena, span, float);
    return arena.used;
}

ae_status ae_echo_align_create(ae_echo_align **out, const ae_echo_align_config *config)
{
    *out = NULL;
    ae_echo_align shape = {.config = *config};
    shape.trial.channels = config->kalman.channels;
    shape.trial.partitions = config->kalman.partitions + k_blocks - 1;
    shape.trial.stride = (config->kalman.fft_size / 2 + 16) & ~15;
    shape.range = (int)(k_range_ms * 0.001f * (float)config->sample_rate_hz);
    ae_echo_align *self = ae_allocate(lay_out(&shape, NULL));
    if (self == NULL) return AE_ERROR_MEMORY;
    *self = shape;
    lay_out(self, self);
    const ae_status status = ae_kalman_create(&self->remembered, &config->kalman);
    if (status != AE_OK) {
        ae_echo_align_destroy(self);
        return status;
    }
    ae_echo_align_reset(self);
    *out = self;
    return AE_OK;
}

void ae_echo_align_destroy(ae_echo_align *self)
{
    if (self == NULL) return;
    ae_kalman_destroy(self->remembered);
    ae_free(self);
}

void ae_echo_align_reset(ae_echo_align *self)
{
    ae_zero(self->capture, k_blocks * self->config.kalman.block_frames);
    ae_zero(self->energy, k_blocks);
    self->has_remembered = self->is_doubted = self->failed_trials = 0;
    self->remembered_delay = self->remembered_lag = self->tried_lag = self->steady_lag = 0.0;
    self->at = self->stage = self->rest = self->accepted = self->steady = 0;
}

void ae_echo_align_remember(ae_echo_align *self, const ae_kalman *filter, double delay_frames,
                            double lag_frames)
{
    if (self->stage > 0) return;
    ae_kalman_copy_path(self->remembered, filter);
    self->remembered_delay = delay_frames;
    self->remembered_lag = lag_frames;
    self->has_remembered = 1;
    self->is_doubted = self->failed_trials = 0;
}

void ae_echo_align_doubt(ae_echo_align *self) { self->is_doubted = self->has_remembered; }

int ae_echo_align_has_learned(const ae_echo_align *self)
{
    return self->has_remembered && !self->is_doubted;
}

void ae_echo_align_drift(ae_echo_align *self, double frames)
{
    self->remembered_delay += frames;
    self->remembered_lag += frames;
    self->trial_delay += frames;
    self->trial_lag += frames;
    self->tried_lag += frames;
    self->steady_lag += frames;
}

static double frames_of(const ae_echo_align *self, float time_ms)
{
    return (double)time_ms * 0.001 * self->config.sample_rate_hz;
}

static int same_lag(const ae_echo_align *self, double a, double b)
{
    return fabs(a - b) < frames_of(self, k_moved_ms);
}

static void begin_trial(ae_echo_align *self, double lag_frames, int max_delay_frames)
{
    const int block = self->config.kalman.block_frames, old = k_blocks - self->at;
    const double delay = self->remembered_delay + lag_frames - self->remembered_lag;
    self->trial_delay =
        fmin(fmax(delay, AE_FAR_END_REACH + self->range), max_delay_frames - self->range);
    self->trial_lag = self->tried_lag = lag_frames;
    self->rest = k_retry_blocks;
    self->trial_age = 0;
    self->stage = k_first_spectra;
    ae_copy(self->target, self->capture + self->at * block, old * block);
    ae_copy(self->target + old * block, self->capture, self->at * block);
    self->trial_energy = 0.0f;
    for (int i = 0; i < k_blocks; i++) self->trial_energy += self->energy[i];
}

/* Half of the spectra at the trial's delay. */
static void transform_half(ae_echo_align *self, ae_far_end *far)
{
    const int count = self->trial.partitions;
    const int from = self->stage == k_first_spectra ? 0 : count / 2;
    const int to = self->stage == k_first_spectra ? count / 2 : count;
    const double step = (1.0 - ae_far_end_skew(far)) * self->config.kalman.block_frames;
    const double newest =
        rint(self->trial_delay) + (double)(self->trial_age * self->config.kalman.block_frames);
    self->trial.head = 0;
    for (int c = 0; c < self->trial.channels; c++)
        for (int p = from; p < to; p++) {
            const int at = ae_far_spectra_at(&self->trial, c, p);
            ae_far_end_transform(far, c, newest + (double)p * step, self->trial.re + at,
                                 self->trial.im + at);
        }
}

/* What the remembered path would have predicted for half of the blocks. */
static void predict_half(ae_echo_align *self)
{
    const int block = self->config.kalman.block_frames;
    const int from = self->stage == k_first_half ? 0 : k_blocks / 2;
    for (int i = from; i < from + k_blocks / 2; i++) {
        self->trial.head = i;
        ae_kalman_predict(self->remembered, &self->trial,
                          self->predicted + (k_blocks - 1 - i) * block);
    }
}

/* The shift within +-range that fits best, and what it leaves of the capture. */
static float refine(const ae_echo_align *self, int *shift)
{
    const int span = k_blocks * self->config.kalman.block_frames - 2 * self->range;
    const float *restrict target = self->target + self->range;
    float best = INFINITY;
    for (int s = -self->range; s <= self->range; s++) {
        const float *restrict moved = self->predicted + self->range - s;
        float sum = 0.0f;
#pragma omp simd reduction(+ : sum)
        for (int i = 0; i < span; i++) sum += (target[i] - moved[i]) * (target[i] - moved[i]);
        if (sum < best) {
            best = sum;
            *shift = s;
        }
    }
    return best;
}

static int finish_trial(ae_echo_align *self, double *delay_frames, const ae_kalman **remembered)
{
    int shift = 0;
    const float left = refine(self, &shift);
    self->stage = 0;
    if (left >= k_better_share * self->trial_energy) {
        self->failed_trials += self->is_doubted;
        return 0;
    }
    self->is_doubted = self->failed_trials = 0;
    *delay_frames = rint(self->trial_delay) + shift;
    *remembered = self->remembered;
    self->remembered_delay = *delay_frames;
    self->remembered_lag = self->trial_lag;
    return 1;
}

static int step_trial(ae_echo_align *self, ae_far_end *far, double *delay_frames,
                      const ae_kalman **remembered)
{
    if (self->stage <= k_last_spectra) transform_half(self, far);
    if (self->stage == k_first_half || self->stage == k_second_half) predict_half(self);
    if (self->stage == k_verdict) return finish_trial(self, delay_frames, remembered);
    self->stage++;
    self->trial_age++;
    return 0;
}

/* How often in a row the finder has come to this lag. */
static void count_steady(ae_echo_align *self, int accepted, double lag_frames)
{
    if (accepted == self->accepted) return;
    self->accepted = accepted;
    self->steady = same_lag(self, lag_frames, self->steady_lag) ? self->steady + 1 : 1;
    self->steady_lag = lag_frames;
}

/* Would whole partitions put the echo path's start to a better place? How many, or 0. */
static int blocks_to_shift(const ae_echo_align *self, double delay_frames, double lag_frames)
{
    const int block = self->config.kalman.block_frames;
    const double inside = lag_frames - delay_frames;
    if (inside >= frames_of(self, k_early_ms) && inside <= frames_of(self, k_late_ms)) return 0;
    const int blocks = (int)floor((inside - frames_of(self, k_headroom_ms)) / block);
    const int least = -(int)(delay_frames / block);
    return blocks > least ? blocks : least;
}

int ae_echo_align_step(ae_echo_align *self, ae_far_end *far, const float *capture,
                       float error_energy, int accepted, double lag_frames, double *delay_frames,
                       const ae_kalman **remembered)
{
    const int block = self->config.kalman.block_frames;
    ae_copy(self->capture + self->at * block, capture, block);
    self->energy[self->at] = error_energy;
    self->at = (self->at + 1) % k_blocks;
    *delay_frames = ae_far_end_delay(far);
    *remembered = NULL;
    count_steady(self, accepted, lag_frames);
    if (self->stage > 0) return step_trial(self, far, delay_frames, remembered);
    if (self->rest > 0) self->rest--;
    if (accepted == 0) return 0;
    if (!self->has_remembered || self->failed_trials > 0 || self->steady >= k_steady_rounds) {
        const int blocks = blocks_to_shift(self, *delay_frames, lag_frames);
        *delay_frames += (double)(blocks * block);
        if (blocks != 0) return 1;
    }
    const int moved = self->is_doubted ||
                      (self->has_remembered && !same_lag(self, lag_frames, self->remembered_lag));
    if (moved && (self->rest == 0 || !same_lag(self, lag_frames, self->tried_lag))) {
        begin_trial(self, lag_frames, ae_far_end_max_delay(far));
        return step_trial(self, far, delay_frames, remembered);
    }
    return 0;
}
