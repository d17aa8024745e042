#include "ae_echo_filter.h"

#include "ae_kalman.h"
#include "ae_math.h"

static const float k_main_memory = 0.9998f; /* per block: half life 35 s */
static const float k_fast_memory = 0.996f;  /* 1.7 s */
static const float k_far_floor = 1e-8f;     /* mean power below which the far end is silent */
static const int k_low_hz = 8000;           /* the late tail holds bins below this only */
static const int k_full_ms = 60;            /* the first part of the tail, which holds all bins */

struct ae_echo_filter {
    ae_echo_filter_config config;
    int block, fft_size, bins, stride, partitions;
    ae_fft *fft;
    ae_kalman *main_filter, *fast_filter;
    ae_far_spectra far;
    float *history; /* ring of far-end samples */
    int history_frames, write;
    int delay_frames;
    float *segment; /* fft_size */
    float *capture, *far_end, *echo, *fast_echo, *main_error, *fast_error;
    float main_power, fast_power, capture_power, far_power, echo_power; /* smoothed */
    int better_blocks; /* for how long the fast filter has been the better one */
    int divergence_count;
    ae_echo_view view;
};

ae_echo_filter_config ae_echo_filter_default_config(int sample_rate_hz)
{
    return (ae_echo_filter_config){
        .sample_rate_hz = sample_rate_hz, .tail_ms = 240, .max_delay_ms = 1000};
}

static size_t lay_out(ae_echo_filter *self, void *memory)
{
    ae_arena arena = {memory, 0};
    AE_TAKE(&arena, 1, ae_echo_filter);
    self->history = AE_TAKE(&arena, self->history_frames, float);
    self->far.re = AE_TAKE(&arena, self->partitions * self->stride, float);
    self->far.im = AE_TAKE(&arena, self->partitions * self->stride, float);
    self->segment = AE_TAKE(&arena, self->fft_size, float);
    self->capture = AE_TAKE(&arena, self->block, float);
    self->far_end = AE_TAKE(&arena, self->block, float);
    self->echo = AE_TAKE(&arena, self->block, float);
    self->fast_echo = AE_TAKE(&arena, self->block, float);
    self->main_error = AE_TAKE(&arena, self->block, float);
    self->fast_error = AE_TAKE(&arena, self->block, float);
    return arena.used;
}

static ae_status create_parts(ae_echo_filter *self)
{
    const int rate = self->config.sample_rate_hz;
    const int low_bins = (int)((int64_t)k_low_hz * self->fft_size / rate) + 1;
    ae_kalman_config kalman = {
        .block_frames = self->block,
        .fft_size = self->fft_size,
        .partitions = self->partitions,
        .full_partitions = ae_clamp_int(k_full_ms / 10, 1, self->partitions),
        .low_bins = ae_clamp_int(low_bins, 1, self->bins),
        .memory = k_main_memory,
    };
    ae_status status = ae_fft_create(&self->fft, self->fft_size);
    if (status == AE_OK) status = ae_kalman_create(&self->main_filter, &kalman);
    kalman.memory = k_fast_memory;
    if (status == AE_OK) status = ae_kalman_create(&self->fast_filter, &kalman);
    return status;
}

ae_status ae_echo_filter_create(ae_echo_filter **out, const ae_echo_filter_config *config)
{
    *out = NULL;
    if (config->sample_rate_hz < AE_MIN_RATE_HZ || config->sample_rate_hz > AE_MAX_RATE_HZ ||
        config->tail_ms < 40 || config->tail_ms > 480 || config->max_delay_ms < 0 ||
        config->max_delay_ms > 1000)
        return AE_ERROR_ARGUMENT;
    ae_echo_filter shape = {.config = *config};
    shape.block = ae_block_frames(config->sample_rate_hz);
    shape.fft_size = ae_fft_good_size(2 * shape.block);
    shape.bins = shape.fft_size / 2 + 1;
    shape.stride = (shape.bins + 15) & ~15;
    shape.partitions = (config->tail_ms + 9) / 10;
    shape.history_frames = (config->max_delay_ms / 10 + shape.partitions + 4) * shape.block;
    ae_echo_filter *self = ae_allocate(lay_out(&shape, NULL));
    if (self == NULL) return AE_ERROR_MEMORY;
    *self = shape;
    lay_out(self, self);
    const ae_status status = create_parts(self);
    if (status != AE_OK) {
        ae_echo_filter_destroy(self);
        return status;
    }
    self->far.partitions = self->partitions;
    self->far.stride = self->stride;
    self->view = (ae_echo_view){.frames = self->block,
                                .capture = self->capture,
                                .far_end = self->far_end,
                                .echo = self->echo,
                                .misadjustment_power = ae_kalman_misadjustment(self->main_filter),
                                .misadjustment_bins = self->bins};
    ae_echo_filter_reset(self);
    *out = self;
    return AE_OK;
}

void ae_echo_filter_destroy(ae_echo_filter *self)
{
    if (self == NULL) return;
    ae_fft_destroy(self->fft);
    ae_kalman_destroy(self->main_filter);
    ae_kalman_destroy(self->fast_filter);
    ae_free(self);
}

void ae_echo_filter_reset(ae_echo_filter *self)
{
    ae_kalman_reset(self->main_filter);
    ae_kalman_reset(self->fast_filter);
    ae_zero(self->far.re, self->partitions * self->stride);
    ae_zero(self->far.im, self->partitions * self->stride);
    ae_zero(self->history, self->history_frames);
    ae_zero(self->capture, self->block);
    ae_zero(self->far_end, self->block);
    ae_zero(self->echo, self->block);
    self->far.head = self->write = self->delay_frames = 0;
    self->main_power = self->fast_power = self->capture_power = 1e-9f;
    self->far_power = self->echo_power = 1e-9f;
    self->better_blocks = self->divergence_count = 0;
    self->view.far_active = self->view.capture_clipped = 0;
    self->view.echo_coherence = -1.0f;
}

int ae_echo_filter_latency_frames(const ae_echo_filter *self)
{
    (void)self;
    return 0;
}

const ae_echo_view *ae_echo_filter_view(const ae_echo_filter *self) { return &self->view; }

/* Copy the `count` far-end frames that end `age` frames before the newest one. */
static void read_history(const ae_echo_filter *self, int age, int count, float *to)
{
    int start = self->write - age - count;
    while (start < 0) start += self->history_frames;
    const int first = count < self->history_frames - start ? count : self->history_frames - start;
    ae_copy(to, self->history + start, first);
    ae_copy(to + first, self->history, count - first);
}

static void push_far_end(ae_echo_filter *self, const float *far_end)
{
    ae_copy(self->history + self->write, far_end, self->block);
    self->write = (self->write + self->block) % self->history_frames;
    read_history(self, self->delay_frames, self->fft_size, self->segment);
    self->far.head = (self->far.head + self->partitions - 1) % self->partitions;
    const int slot = self->far.head * self->stride;
    ae_fft_forward(self->fft, self->segment, self->far.re + slot, self->far.im + slot);
    ae_copy(self->far_end, self->segment + self->fft_size - self->block, self->block);
}

/* Which filter speaks for the echo path (notes/aec.md 2.2). */
static void compare_filters(ae_echo_filter *self)
{
    const float a = 0.1f;
    self->main_power += a * (ae_energy(self->main_error, self->block) - self->main_power);
    self->fast_power += a * (ae_energy(self->fast_error, self->block) - self->fast_power);
    self->capture_power += a * (ae_energy(self->capture, self->block) - self->capture_power);
    self->better_blocks = self->fast_power < 0.5f * self->main_power ? self->better_blocks + 1 : 0;
    if (self->better_blocks > 6) {
        ae_kalman_adopt(self->main_filter, self->fast_filter);
        self->better_blocks = 0;
        self->main_power = self->fast_power;
    } else if (self->main_power < 0.25f * self->fast_power) {
        ae_kalman_adopt(self->fast_filter, self->main_filter);
        self->fast_power = self->main_power;
    }
    if (self->main_power > 1.5f * self->capture_power && self->main_power > 1e-5f) {
        ae_kalman_shrink(self->main_filter, 0.5f);
        self->divergence_count++;
    }
}

void ae_echo_filter_process(ae_echo_filter *self, const float *capture, const float *far_end,
                            float *error)
{
    const int block = self->block;
    ae_copy(self->capture, capture, block);
    push_far_end(self, far_end);
    ae_kalman_predict(self->main_filter, &self->far, self->echo);
    ae_kalman_predict(self->fast_filter, &self->far, self->fast_echo);
    for (int i = 0; i < block; i++) {
        self->main_error[i] = self->capture[i] - self->echo[i];
        self->fast_error[i] = self->capture[i] - self->fast_echo[i];
    }
    self->view.far_active =
        ae_energy(self->segment, self->fft_size) > k_far_floor * (float)self->fft_size;
    if (self->view.far_active) {
        ae_kalman_adapt(self->main_filter, &self->far, self->main_error);
        ae_kalman_adapt(self->fast_filter, &self->far, self->fast_error);
    }
    compare_filters(self);
    self->far_power += 0.1f * (ae_energy(self->far_end, block) - self->far_power);
    self->echo_power += 0.1f * (ae_energy(self->echo, block) - self->echo_power);
    for (int i = 0; i < block; i++) error[i] = self->capture[i] - self->echo[i];
}

void ae_echo_filter_read(const ae_echo_filter *self, ae_echo_filter_report *out)
{
    out->erle_db = ae_db_from_power(self->capture_power) - ae_db_from_power(self->main_power);
    out->echo_return_loss_db =
        ae_db_from_power(self->far_power) - ae_db_from_power(self->echo_power);
    out->delay_ms = 1000.0f * (float)self->delay_frames / (float)self->config.sample_rate_hz;
    out->delay_confidence = 0.0f;
    out->divergence_count = self->divergence_count;
}
