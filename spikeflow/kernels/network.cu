// What every network shares: one block of threads steps all populations through a window of ticks.
//
// The text before this one holds the columns of the table (layout.py) and the models' equations; `move` runs one neuron
// for one tick. Neuron n belongs to thread n % blockDim.x, which alone reads and writes its state and its sums, except
// where CSR rows are walked, one presynaptic neuron after the other. So every sum has the order of the reference and
// needs no atomics. Whatever one thread leaves for the others is read behind a barrier; the letters name them.

typedef long long integer;

enum { PICKS = 32 };  // arrivals that are handled between two barriers

// One event or held sample that acts in this tick.
struct Arrival {
    integer neuron, delay;
    double value;
};

// What the threads of the block tell each other.
struct Shared {
    Arrival picked[PICKS];
    int many;
    unsigned spiked[32];  // a bit for each thread
    unsigned long long found;
    unsigned long long lost;  // the lowest population, then learning, with what is not a number, or all bits set
};

__device__ __forceinline__ integer *row_of(const Net &net, integer head, integer words, integer place) {
    return net.table + net.table[head] + place * words;
}

// The row `row` of a neuron in the tiles of its population.
template <class real>
__device__ __forceinline__ real *cell_of(real *reals, const integer *group, integer row, integer neuron) {
    return reals + group[G_BASE] + (neuron / TILE * group[G_ROWS] + row) * TILE + neuron % TILE;
}

// ---- events

// Whether the trains' new events can be read as they are: twice the place of the first train whose events cannot, and
// one more if they are only out of order within a tick; or -1.
__device__ integer check_events(const Net &net, Shared &shared) {
    const integer *head = net.table;
    const unsigned long long none = ~0ULL;
    const integer begin = head[H_ORIGIN] + head[H_TICK] * head[H_STEP];
    const integer end = head[H_ORIGIN] + head[H_STOP] * head[H_STEP];
    if (threadIdx.x == 0) shared.found = none;
    __syncthreads();  // A: `found` is set
    for (integer place = 0; place < head[H_SOURCES]; place++) {
        const integer *source = row_of(net, H_SOURCE, SOURCE, place);
        if (source[S_KEPT]) continue;
        const integer *time = net.time + source[S_OFFSET];
        const unsigned *index = net.index + source[S_OFFSET];
        for (integer k = source[S_START] + threadIdx.x; k < source[S_COUNT]; k += blockDim.x) {
            bool valid = time[k] >= begin && time[k] < end && index[k] < source[S_SIZE];
            bool ordered = true;
            if (valid && k > source[S_START]) {
                const integer tick = (time[k] - begin) / head[H_STEP], before = (time[k - 1] - begin) / head[H_STEP];
                valid = before <= tick;
                ordered = before < tick || index[k - 1] <= index[k];
            }
            if (!valid || !ordered) atomicMin(&shared.found, 2ULL * place + (valid ? 1 : 0));
        }
    }
    __syncthreads();  // B: every thread has looked
    return shared.found == none ? -1 : (integer)shared.found;
}

// The first event of a source that some reader has not read yet.
__device__ integer first_unread(const Net &net, integer place) {
    const integer *head = net.table, *source = row_of(net, H_SOURCE, SOURCE, place);
    integer first = source[S_KEPT] ? source[S_COUNT] : source[S_START];
    for (integer p = 0; p < head[H_PROJECTIONS]; p++) {
        const integer *projection = row_of(net, H_PROJECTION, PROJECTION, p);
        if (projection[P_SOURCE] != place) continue;
        for (integer d = 0; d < projection[P_DELAYS]; d++) {
            const integer next = net.table[projection[P_DELAY] + 2 * d + 1];
            if (next < first) first = next;
        }
    }
    return first;
}

// Moves `count` numbers down by `by` places, a block's width at a time.
template <class number>
__device__ void move_down(number *column, integer by, integer count) {
    for (integer first = 0; first < count; first += blockDim.x) {
        const integer k = first + threadIdx.x;
        number kept = 0;
        if (k < count) kept = column[k + by];
        __syncthreads();  // C: what others are about to overwrite is read
        if (k < count) column[k] = kept;
    }
}

// Lets go of the events that every reader has read.
__device__ void drop_read(const Net &net) {
    const integer *head = net.table;
    for (integer place = 0; place < head[H_SOURCES]; place++) {
        const integer *source = row_of(net, H_SOURCE, SOURCE, place);
        const integer read = first_unread(net, place), left = source[S_COUNT] - read;
        if (read == 0) continue;
        move_down(net.time + source[S_OFFSET], read, left);
        move_down(net.index + source[S_OFFSET], read, left);
        if (source[S_VALUE] >= 0) move_down(net.value + source[S_VALUE], read, left);
    }
    __syncthreads();  // D: every thread has looked up what moves
    if (threadIdx.x != 0) return;
    for (integer place = 0; place < head[H_SOURCES]; place++) {
        integer *source = row_of(net, H_SOURCE, SOURCE, place);
        const integer read = first_unread(net, place);
        for (integer p = 0; p < head[H_PROJECTIONS]; p++) {
            const integer *projection = row_of(net, H_PROJECTION, PROJECTION, p);
            if (projection[P_SOURCE] != place) continue;
            for (integer d = 0; d < projection[P_DELAYS]; d++) net.table[projection[P_DELAY] + 2 * d + 1] -= read;
        }
        source[S_COUNT] -= read;
        source[S_START] = source[S_COUNT];
    }
}

// ---- what arrives

// The next event that acts through delay `d` by tick `tick`, or -1.
__device__ integer next_event(const Net &net, const integer *projection, integer d, integer tick) {
    const integer *head = net.table, *source = row_of(net, H_SOURCE, SOURCE, projection[P_SOURCE]);
    integer *delay = net.table + projection[P_DELAY] + 2 * d;
    const integer end = head[H_ORIGIN] + (tick - delay[0] + 1) * head[H_STEP];
    for (; delay[1] < source[S_COUNT] && net.time[source[S_OFFSET] + delay[1]] < end; delay[1]++) {
        const integer neuron = net.index[source[S_OFFSET] + delay[1]];
        if (projection[P_MEMBER] < 0 || net.post[projection[P_MEMBER] + neuron % projection[P_PRE]] == d) return delay[1];
    }
    return -1;
}

__device__ Arrival take_event(const Net &net, const integer *projection, integer d, integer event) {
    const integer *source = row_of(net, H_SOURCE, SOURCE, projection[P_SOURCE]);
    net.table[projection[P_DELAY] + 2 * d + 1] = event + 1;
    const double value = source[S_VALUE] >= 0 ? net.value[source[S_VALUE] + event] : 1.0;
    return Arrival{(integer)net.index[source[S_OFFSET] + event], d, value};
}

// Up to PICKS of the events that act in this tick: presynaptic neurons ascending, then delays.
__device__ int pick_events(const Net &net, const integer *projection, integer tick, Arrival *picked) {
    int many = 0;
    while (many < PICKS) {
        integer least = -1, chosen = -1, of = 0;
        for (integer d = 0; d < projection[P_DELAYS]; d++) {
            const integer event = next_event(net, projection, d, tick);
            if (event < 0) continue;
            const integer *source = row_of(net, H_SOURCE, SOURCE, projection[P_SOURCE]);
            const integer neuron = net.index[source[S_OFFSET] + event];
            if (chosen < 0 || neuron < least) least = neuron, chosen = event, of = d;
        }
        if (chosen < 0) break;
        picked[many++] = take_event(net, projection, of, chosen);
    }
    return many;
}

// As `pick_events`, of the values held from `from` on, which counts neurons and, within a neuron, delays.
__device__ int pick_held(const Net &net, const integer *projection, integer tick, integer &from, Arrival *picked) {
    const integer delays = projection[P_DELAYS], every = projection[P_ALL];
    double *held = net.held + projection[P_HELD];
    if (from == 0) {
        for (integer d = 0; d < delays; d++) {
            for (integer event; (event = next_event(net, projection, d, tick)) >= 0;) {
                const Arrival sample = take_event(net, projection, d, event);
                held[d * every + sample.neuron] = sample.value;
            }
        }
    }
    int many = 0;
    for (; from < every * delays && many < PICKS; from++) {
        const double value = held[from % delays * every + from / delays];
        if (value != 0) picked[many++] = Arrival{from / delays, from % delays, value};
    }
    return many;
}

// As `pick_held`, of a state variable of the population itself, from neuron `from` on; zeros are left out.
template <class real>
__device__ int pick_state(
    const integer *projection, const integer *group, real *reals, integer &from, Arrival *picked) {
    int many = 0;
    for (; from < projection[P_ALL] && many < PICKS; from++) {
        const real value = *cell_of(reals, group, projection[P_STATE], from);
        if (value != 0) picked[many++] = Arrival{from, 0, (double)value};
    }
    return many;
}

// Where the synapses of an arriving neuron go: it is the neuron `row` of the copies `first` to before `end`.
struct Copies {
    integer row, first, end;
};

__device__ __forceinline__ Copies copies_of(const integer *projection, integer neuron) {
    const integer pre = projection[P_PRE], own = neuron / pre;
    if (projection[P_ALL] == pre) return Copies{neuron, 0, projection[P_COPIES]};
    return Copies{neuron % pre, own, own + 1};
}

// As `deliver_dense`, where each copy hears its own neurons.
template <class real>
__device__ void deliver_own(
    const integer *projection, const integer *group, real *reals, const real *weight, const Arrival *picked, int many) {
    for (int k = 0; k < many; k++) {
        const Copies to = copies_of(projection, picked[k].neuron);
        const integer first = to.first * projection[P_EACH], end = to.end * projection[P_EACH];
        const integer begin = first + (threadIdx.x + blockDim.x - first % blockDim.x) % blockDim.x;
        for (integer n = begin; n < end; n += blockDim.x)
            *cell_of(reals, group, projection[P_ROW], n) +=
                weight[to.row * projection[P_STRIDE] + n - first] * (real)picked[k].value;
    }
}

template <class real>
__device__ void deliver_dense(
    const integer *projection, const integer *group, real *reals, const real *weight, const Arrival *picked, int many) {
    if (projection[P_ALL] > projection[P_PRE]) return deliver_own(projection, group, reals, weight, picked, many);
    for (integer n = threadIdx.x; n < group[G_SIZE]; n += blockDim.x) {
        real *cell = cell_of(reals, group, projection[P_ROW], n);
        real sum = *cell;
        const real *row = weight + n % projection[P_EACH];
        for (int k = 0; k < many; k++) sum += row[picked[k].neuron * projection[P_STRIDE]] * (real)picked[k].value;
        *cell = sum;
    }
}

template <class real>
__device__ void deliver_one_to_one(
    const integer *projection, const integer *group, real *reals, const real *weight, const Arrival *picked, int many) {
    for (int k = 0; k < many; k++) {
        const Copies to = copies_of(projection, picked[k].neuron);
        for (integer copy = to.first; copy < to.end; copy++) {
            const integer n = copy * projection[P_EACH] + to.row;
            if (n % blockDim.x == threadIdx.x)
                *cell_of(reals, group, projection[P_ROW], n) += weight[to.row * projection[P_STRIDE]] * (real)picked[k].value;
        }
    }
}

template <class real>
__device__ void deliver_csr(
    const Net &net, const integer *projection, const integer *group, real *reals, const real *weight,
    const Arrival *picked, int many) {
    const int *post = net.post + projection[P_POST];
    for (int k = 0; k < many; k++) {
        const Copies to = copies_of(projection, picked[k].neuron);
        const integer *row = net.start + projection[P_START] + picked[k].delay * projection[P_PRE] + to.row;
        const real value = (real)picked[k].value;
        for (integer s = row[0] + threadIdx.x; s < row[1]; s += blockDim.x) {
            if (s > row[0] && post[s - 1] == post[s]) continue;  // the first of several to one neuron adds them all
            for (integer copy = to.first; copy < to.end; copy++) {
                real *cell = cell_of(reals, group, projection[P_ROW], copy * projection[P_EACH] + post[s]);
                real sum = *cell;
                for (integer t = s; t < row[1] && post[t] == post[s]; t++) sum += weight[t * projection[P_STRIDE]] * value;
                *cell = sum;
            }
        }
        __syncthreads();  // E: the next row may go to the same neurons
    }
}

template <class real>
__device__ void deliver(
    const Net &net, const integer *projection, real *reals, const real *weights, integer tick, Shared &shared) {
    const integer *group = row_of(net, H_GROUP, GROUP, projection[P_TARGET]);
    const real *weight = weights + projection[P_WEIGHT];
    integer from = 0;
    if (projection[P_STATE] >= 0) __syncthreads();  // K: the state that acts stands still
    for (int many = PICKS; many == PICKS;) {
        Arrival *picked = shared.picked;
        if (threadIdx.x == 0)
            shared.many = projection[P_STATE] >= 0  ? pick_state(projection, group, reals, from, picked)
                          : projection[P_HELD] >= 0 ? pick_held(net, projection, tick, from, picked)
                                                    : pick_events(net, projection, tick, picked);
        __syncthreads();  // F: what arrives is picked
        many = shared.many;
        if (projection[P_KIND] == DENSE) deliver_dense(projection, group, reals, weight, picked, many);
        if (projection[P_KIND] == ONE_TO_ONE) deliver_one_to_one(projection, group, reals, weight, picked, many);
        if (projection[P_KIND] == CSR) deliver_csr(net, projection, group, reals, weight, picked, many);
        __syncthreads();  // G: `picked` and `many` are free again
    }
    if (projection[P_INTO] < 0) return;
    for (integer n = threadIdx.x; n < group[G_SIZE]; n += blockDim.x) {
        real *spare = cell_of(reals, group, projection[P_ROW], n);
        *cell_of(reals, group, projection[P_INTO], n) += *spare;
        *spare = 0;
    }
}

// ---- one tick of one population

// What a spike of the neuron carries.
__device__ double carried(const Net &net, const integer *group, integer neuron) {
    if (is_double(group[G_FORM])) return *cell_of(net.real64, group, group[G_VALUE], neuron);
    return *cell_of(net.real32, group, group[G_VALUE], neuron);
}

// Moves every neuron and writes the spikes down, ascending. No bit of `shared.spiked` is set on entry and on return.
__device__ void move_group(const Net &net, integer place, integer tick, Shared &shared) {
    const integer *head = net.table, *group = row_of(net, H_GROUP, GROUP, place);
    integer *source = row_of(net, H_SOURCE, SOURCE, place);
    const unsigned word = threadIdx.x / 32, bit = 1u << threadIdx.x % 32, words = (blockDim.x + 31) / 32;
    unsigned *spiked = shared.spiked;
    integer count = source[S_COUNT];
    for (integer first = 0; first < group[G_SIZE]; first += blockDim.x) {
        const integer n = first + threadIdx.x;
        const bool spikes = n < group[G_SIZE] && move(net, group, n, tick);
        if (spikes) atomicOr(&spiked[word], bit);
        __syncthreads();  // H: every bit is set
        integer before = count;
        for (unsigned w = 0; w < words; w++) {
            if (w == word && spikes) {
                const integer at = before + __popc(spiked[w] & (bit - 1));
                net.index[source[S_OFFSET] + at] = (unsigned)n;
                net.time[source[S_OFFSET] + at] = head[H_ORIGIN] + tick * head[H_STEP];
                if (group[G_VALUE] >= 0) net.value[source[S_VALUE] + at] = carried(net, group, n);
            }
            before += __popc(spiked[w]);
        }
        count = before;
        __syncthreads();  // I: every bit is counted
        if (spikes) atomicAnd(&spiked[word], ~bit);
    }
    if (threadIdx.x == 0) source[S_COUNT] = count;
}

// How many ticks below `tick` are multiples of `every`.
__device__ __forceinline__ integer multiples(integer tick, integer every) { return (tick + every - 1) / every; }

template <class real>
__device__ void record(const Net &net, const integer *group, const integer *row, real *reals, integer tick) {
    const integer done = multiples(tick, row[R_EVERY]) - multiples(net.table[H_TICK], row[R_EVERY]);
    double *out = net.recorded + row[R_OUT] + done * row[R_NEURONS];
    for (integer k = threadIdx.x; k < row[R_NEURONS]; k += blockDim.x)
        out[k] = *cell_of(reals, group, row[R_ROW], (integer)net.post[row[R_NEURON] + k]);
}

// Marks the population where a state is not a number.
template <class real>
__device__ void find_lost(const integer *group, real *reals, integer place, Shared &shared) {
    for (integer n = threadIdx.x; n < group[G_SIZE]; n += blockDim.x) {
        for (integer row = 0; row < group[G_STATES]; row++) {
            const real value = *cell_of(reals, group, row, n);
            if (value != value) atomicMin(&shared.lost, (unsigned long long)place);
        }
    }
}

__device__ void deliver_listed(
    const Net &net, integer first, integer count, bool wide, integer tick, Shared &shared) {
    for (integer k = first; k < first + count; k++) {
        const integer *projection = row_of(net, H_PROJECTION, PROJECTION, net.table[k]);
        if (wide) deliver(net, projection, net.real64, net.weight64, tick, shared);
        else deliver(net, projection, net.real32, net.weight32, tick, shared);
    }
}

__device__ void tick_group(const Net &net, integer place, integer tick, Shared &shared) {
    const integer *head = net.table, *group = row_of(net, H_GROUP, GROUP, place);
    const bool wide = is_double(group[G_FORM]);
    deliver_listed(net, group[G_LIST], group[G_LISTED], wide, tick, shared);
    move_group(net, place, tick, shared);
    if (wide) find_lost(group, net.real64, place, shared);
    else find_lost(group, net.real32, place, shared);
    deliver_listed(net, group[G_AFTER], group[G_AFTERS], wide, tick, shared);
    if (group[G_AFTERS] > 0) __syncthreads();  // L: the state that is recorded stands still
    for (integer r = 0; r < head[H_RECORDS]; r++) {
        const integer *row = row_of(net, H_RECORD, RECORD, r);
        if (row[R_GROUP] != place || tick % row[R_EVERY] != 0) continue;
        if (wide) record(net, group, row, net.real64, tick);
        else record(net, group, row, net.real32, tick);
    }
}

// ---- what synapses learn in one tick

// The place of a neuron's first state among the numbers of its precision.
__device__ __forceinline__ integer place_of(const integer *group, integer neuron) {
    return group[G_BASE] + neuron / TILE * group[G_ROWS] * TILE + neuron % TILE;
}

// Changes the synapses of a projection, from the traces as they are after this tick. A synapse belongs to one thread;
// the traces stand still since the last barrier I.
__device__ void learn(const Net &net, integer place, Shared &shared) {
    const integer *learning = row_of(net, H_LEARNING, LEARNING, place);
    const integer *projection = row_of(net, H_PROJECTION, PROJECTION, learning[L_PROJECTION]);
    const integer *before = row_of(net, H_GROUP, GROUP, learning[L_PRE]);
    const integer *after = row_of(net, H_GROUP, GROUP, learning[L_POST]);
    const integer first = projection[P_WEIGHT];
    bool lost = false;
    for (integer row = 0; row < before[G_SIZE]; row++) {
        integer begin = threadIdx.x, end = after[G_SIZE];
        if (projection[P_KIND] == ONE_TO_ONE) {
            begin = row % blockDim.x == threadIdx.x ? row : end;
            end = row + 1;
        }
        if (projection[P_KIND] == CSR) {
            const integer *starts = net.start + projection[P_START] + row;
            begin += starts[0], end = starts[1];
        }
        for (integer k = begin; k < end; k += blockDim.x) {
            const integer neuron = projection[P_KIND] == CSR ? net.post[projection[P_POST] + k] : k;
            const integer at = projection[P_KIND] == DENSE ? row * projection[P_STRIDE] + k : k;
            const integer from = place_of(before, row), to = place_of(after, neuron);
            if (change(net, learning, first + at, learning[L_STATE] + at, from, to)) lost = true;
        }
    }
    if (lost) atomicMin(&shared.lost, (unsigned long long)(net.table[H_GROUPS] + place));
}

// The first population that may have no room for the spikes of another tick, or -1.
__device__ integer full_source(const Net &net) {
    for (integer place = 0; place < net.table[H_SOURCES]; place++) {
        const integer *source = row_of(net, H_SOURCE, SOURCE, place);
        if (source[S_KEPT] && source[S_CAPACITY] - source[S_COUNT] < source[S_SIZE]) return place;
    }
    return -1;
}

// Steps ticks H_TICK to H_PAUSE, or stops before a tick that there may be no room for, or before the first with a reason.
__device__ void step_window(const Net &net, Shared &shared) {
    integer *table = net.table;
    if (table[H_FRESH]) {
        const integer refused = check_events(net, shared);
        if (refused >= 0) {
            if (threadIdx.x == 0) table[H_STATUS] = refused % 2 ? UNORDERED : INVALID, table[H_DETAIL] = refused / 2;
            return;
        }
        drop_read(net);
    }
    for (unsigned w = threadIdx.x; w < 32; w += blockDim.x) shared.spiked[w] = 0;
    const unsigned long long none = ~0ULL;
    if (threadIdx.x == 0) shared.lost = none;
    integer tick = table[H_TICK], full;
    for (;; tick++) {
        __syncthreads();  // J: the last tick is written down
        full = full_source(net);
        if (tick == table[H_PAUSE] || full >= 0 || shared.lost != none) break;
        for (integer g = 0; g < table[H_GROUPS]; g++) tick_group(net, table[table[H_ORDER] + g], tick, shared);
        for (integer k = 0; k < table[H_LEARNINGS]; k++)
            if (tick < row_of(net, H_LEARNING, LEARNING, k)[L_UNTIL]) learn(net, k, shared);
    }
    if (threadIdx.x != 0) return;
    for (integer r = 0; r < table[H_RECORDS]; r++) {
        integer *row = row_of(net, H_RECORD, RECORD, r);
        row[R_OUT] += (multiples(tick, row[R_EVERY]) - multiples(table[H_TICK], row[R_EVERY])) * row[R_NEURONS];
    }
    if (shared.lost != none) table[H_STATUS] = LOST, table[H_DETAIL] = (integer)shared.lost, tick--;
    else if (tick < table[H_PAUSE]) table[H_STATUS] = FULL, table[H_DETAIL] = full;
    table[H_TICK] = tick;
    table[H_FRESH] = 0;
}
