/* ae_chain.h - the whole chain on one microphone, as a user's engine has it; for graph tests. */
#ifndef AE_CHAIN_H
#define AE_CHAIN_H

#include "ae_graph.h"

#include <string.h>

typedef struct {
    ae_highpass *highpass;
    ae_echo_filter *echo[AE_MAX_CHANNELS];
    ae_suppressor *suppressor;
    ae_leveller *leveller;
    ae_limiter *limiter;
    ae_loudness *loudness;
    ae_graph *graph;
    int channels;
} ae_chain;

static int ae_chain_create_kernels(ae_chain *chain, int rate)
{
    ae_highpass_config highpass = ae_highpass_default_config(rate);
    ae_suppressor_config suppressor = ae_suppressor_default_config(rate);
    ae_leveller_config leveller = ae_leveller_default_config(rate);
    ae_limiter_config limiter = ae_limiter_default_config(rate);
    ae_loudness_config loudness = ae_loudness_default_config(rate);
    const ae_echo_filter_config echo = ae_echo_filter_default_config(rate);
    highpass.channels = suppressor.channels = leveller.channels = chain->channels;
    limiter.channels = loudness.channels = chain->channels;
    suppressor.echo = 1;
    int failures = 0;
    for (int c = 0; c < chain->channels; c++) {
        failures += ae_echo_filter_create(&chain->echo[c], &echo) != AE_OK;
    }
    failures += ae_highpass_create(&chain->highpass, &highpass) != AE_OK;
    failures += ae_suppressor_create(&chain->suppressor, &suppressor) != AE_OK;
    failures += ae_leveller_create(&chain->leveller, &leveller) != AE_OK;
    failures += ae_limiter_create(&chain->limiter, &limiter) != AE_OK;
    failures += ae_loudness_create(&chain->loudness, &loudness) != AE_OK;
    return failures;
}

/* Bus 0: microphone, bus 1: far end; the stages write bus 0 in place, or a bus each. */
static ae_graph *ae_chain_plan(const ae_chain *chain, int rate, int in_place)
{
    ae_step steps[] = {
        {AE_STEP_HIGHPASS, 0, -1, 0, -1, {chain->highpass}},
        {AE_STEP_ECHO, 0, 1, 0, -1, {NULL}},
        {AE_STEP_SUPPRESSOR, 0, -1, 0, 1, {chain->suppressor}},
        {AE_STEP_LEVELLER, 0, -1, 0, 2, {chain->leveller}},
        {AE_STEP_LIMITER, 0, -1, 0, -1, {chain->limiter}},
        {AE_STEP_LOUDNESS, 0, -1, -1, -1, {chain->loudness}},
    };
    for (int c = 0; c < chain->channels; c++) steps[1].nodes[c] = chain->echo[c];
    for (int s = 0, bus = 0; s < 6 && !in_place; s++) {
        steps[s].input_bus = bus;
        if (steps[s].output_bus >= 0) steps[s].output_bus = bus = 2 + s;
    }
    const int n = chain->channels, bus_channels[] = {n, 1, n, n, n, n, n};
    const int inputs[] = {0, 1}, outputs[] = {in_place ? 0 : 6};
    const ae_graph_config config = {.sample_rate_hz = rate,
                                    .bus_count = 7,
                                    .bus_channels = bus_channels,
                                    .input_count = 2,
                                    .input_buses = inputs,
                                    .output_count = 1,
                                    .output_buses = outputs,
                                    .step_count = 6,
                                    .steps = steps};
    ae_graph *graph = NULL;
    ae_graph_create(&graph, &config);
    return graph;
}

/* Returns the number of failures. */
static int ae_chain_create(ae_chain *chain, int rate, int channels)
{
    memset(chain, 0, sizeof *chain);
    chain->channels = channels;
    if (ae_chain_create_kernels(chain, rate) != 0) return 1;
    chain->graph = ae_chain_plan(chain, rate, 1);
    return chain->graph == NULL;
}

static void ae_chain_destroy(ae_chain *chain)
{
    ae_graph_destroy(chain->graph);
    for (int c = 0; c < chain->channels; c++) ae_echo_filter_destroy(chain->echo[c]);
    ae_highpass_destroy(chain->highpass);
    ae_suppressor_destroy(chain->suppressor);
    ae_leveller_destroy(chain->leveller);
    ae_limiter_destroy(chain->limiter);
    ae_loudness_destroy(chain->loudness);
}

#endif
