// What every network shares: the blocks of a grid step all populations through a window of ticks, in one launch.
//
// The text before this one holds the columns of the table (layout.py), how the network is spread over the blocks
// (spread.py), and the models' equations; `move` runs one neuron for one tick. A block owns the tiles from `own_tiles`,
// and in it neuron n belongs to thread (n - first) % blockDim.x, which alone reads and writes its state and its sums,
// except where CSR rows are walked. So every sum has the order of the reference and needs no atomics, and what arrives
// is picked by each block for itself, because that takes less time than to wait for another block. Whatever one thread
// leaves for others of its block is read behind a barrier; the letters name them. Whatever it leaves for other blocks
// is read behind a `meet`; the numbers name those.

typedef long long integer;

#ifndef PICKS
#define PICKS 512  // arrivals, and synapses of CSR, that are handled between two barriers
#endif

#define HAND 64  // ticks in hand, at most: a bit for each

// One event or held value that acts in this tick.
struct Arrival {
    unsigned neuron;
    int delay;
    double value;
};

// One of them before they are in order: presynaptic neuron and delay, then where it lies among the events.
struct Found {
    unsigned long long key;
    integer event;
};

// What the threads of a block tell each other.
struct Shared {
    Arrival picked[PICKS];
    Found found[PICKS];
    integer begin[PICKS];  // CSR: the first synapse of each arrival to this block's neurons,
    int ahead[PICKS];      // and how many synapses there are of those before it and of itself
    int post[PICKS];
    double amount[PICKS];
    int many;
    int twice;               // whether something acts twice
    int found_in[HAND];      // spikes of each tick in hand: the block's so far, then those of all blocks,
    int before[HAND];        // and of the blocks before this one
    unsigned long long any;  // a bit for each tick in hand with a spike
    unsigned long long stirred;
    unsigned long long first;
    unsigned spiked[32];  // a bit for each thread
};

__device__ __forceinline__ integer *row_of(const Net &net, integer head, integer words, integer place) {
    return net.table + net.table[head] + place * words;
}

// The row `row` of a neuron in the tiles of its population.
template <class real>
__device__ __forceinline__ real *cell_of(real *reals, const integer *group, integer row, integer neuron) {
    return reals + group[G_BASE] + (neuron / TILE * group[G_ROWS] + row) * TILE + neuron % TILE;
}

// ---- blocks

// Waits until every block is here. All of them run at once, which the launch sees to. What a block wrote before, the
// others see behind it: a fence stands between what its threads did and the count, and between the count and what they do.
__device__ void meet(const Net &net) {
    __syncthreads();  // A: the block is here
    if (gridDim.x == 1) return;
    if (threadIdx.x == 0) {
        unsigned long long *arrived = (unsigned long long *)net.work + W_ARRIVED;
        __threadfence();
        const unsigned long long end = (atomicAdd(arrived, 1ULL) / gridDim.x + 1) * gridDim.x;
        while (atomicAdd(arrived, 0ULL) < end) __nanosleep(20);
        __threadfence();
    }
    __syncthreads();  // B: the others are here too
}

__device__ __forceinline__ bool is_first_thread() { return blockIdx.x == 0 && threadIdx.x == 0; }

// A part of the block's threads, as wide as a warp, that shares some work; those that are left over have none.
struct Team {
    integer place, teams, lane, width;
};

__device__ Team team_of_threads() {
    const integer width = blockDim.x < 32 ? blockDim.x : 32, teams = blockDim.x / width, place = threadIdx.x / width;
    return Team{place, teams, place < teams ? threadIdx.x % width : 1LL << 40, width};
}

// The neurons of a population that this block steps.
struct Own {
    integer first, end;
};

__device__ Own own_neurons(const Net &net, integer place) {
    const integer *group = row_of(net, H_GROUP, GROUP, place), *spread = net.plan + PLAN + place * SPREAD;
    const integer low = spread[X_OF] * blockIdx.x / gridDim.x, high = spread[X_OF] * (blockIdx.x + 1) / gridDim.x;
    const integer before = spread[X_TILES], tiles = group[G_TILES];
    const integer first = low > before ? low - before : 0, end = high < before + tiles ? high - before : tiles;
    if (first >= end) return Own{0, 0};
    return Own{first * TILE, end * TILE < group[G_SIZE] ? end * TILE : group[G_SIZE]};
}

// The counts of spikes that the blocks write down: (held before, in this tick or each tick in hand), for each block of a
// population.
__device__ __forceinline__ integer *counts_of(const Net &net, integer place) {
    return net.work + WORK + net.plan[X_COUNTS] * place * gridDim.x;
}

// How the synapses of a projection are gone through.
__device__ __forceinline__ const integer *way_of(const Net &net, integer projection) {
    return net.plan + PLAN + net.table[H_GROUPS] * SPREAD + projection * WAY;
}

// How far this block has read: (next event, end of this tick's) for each delay of a projection.
__device__ __forceinline__ integer *cursors_of(const Net &net, integer projection) {
    const integer all = net.plan[X_CURSORS], groups = net.table[H_GROUPS];
    const integer first = way_of(net, projection)[X_CURSOR];
    return net.work + WORK + net.plan[X_COUNTS] * groups * gridDim.x + 3 * blockIdx.x * all + 2 * first;
}

// How far it had read before the ticks in hand: a number for each delay.
__device__ __forceinline__ integer *kept_cursors_of(const Net &net, integer projection) {
    return cursors_of(net, 0) + 2 * net.plan[X_CURSORS] + way_of(net, projection)[X_CURSOR];
}

// ---- events

// Whether the trains' new events can be read as they are: twice the place of the first train whose events cannot, and
// one more if they are only out of order within a tick; or -1.
__device__ integer check_events(const Net &net) {
    const integer *head = net.table;
    const unsigned long long none = ~0ULL;
    unsigned long long *found = (unsigned long long *)net.work + W_FOUND;
    const integer begin = head[H_ORIGIN] + head[H_TICK] * head[H_STEP];
    const integer end = head[H_ORIGIN] + head[H_STOP] * head[H_STEP];
    const integer thread = (integer)blockIdx.x * blockDim.x + threadIdx.x, threads = (integer)gridDim.x * blockDim.x;
    for (integer place = 0; place < head[H_SOURCES]; place++) {
        const integer *source = row_of(net, H_SOURCE, SOURCE, place);
        if (source[S_KEPT]) continue;
        const integer *time = net.time + source[S_OFFSET];
        const unsigned *index = net.index + source[S_OFFSET];
        for (integer k = source[S_START] + thread; k < source[S_COUNT]; k += threads) {
            bool valid = time[k] >= begin && time[k] < end && index[k] < source[S_SIZE];
            bool ordered = true;
            if (valid && k > source[S_START]) {
                const integer tick = (time[k] - begin) / head[H_STEP], before = (time[k - 1] - begin) / head[H_STEP];
                valid = before <= tick;
                ordered = before < tick || index[k - 1] <= index[k];
            }
            if (!valid || !ordered) atomicMin(found, 2ULL * place + (valid ? 1 : 0));
        }
    }
    meet(net);  // 1: every thread has looked
    return *found == none ? -1 : (integer)*found;
}

// The first event of a source that some reader has not read yet; all threads of the block look.
__device__ integer first_unread(const Net &net, integer place, Shared &shared) {
    const integer *head = net.table, *source = row_of(net, H_SOURCE, SOURCE, place);
    if (threadIdx.x == 0) shared.first = source[S_KEPT] ? source[S_COUNT] : source[S_START];
    __syncthreads();  // T: what is held is known
    for (integer p = 0; p < head[H_PROJECTIONS]; p++) {
        const integer *projection = row_of(net, H_PROJECTION, PROJECTION, p);
        if (projection[P_SOURCE] != place) continue;
        const integer *delay = net.table + projection[P_DELAY];
        for (integer d = threadIdx.x; d < projection[P_DELAYS]; d += blockDim.x)
            atomicMin(&shared.first, (unsigned long long)delay[2 * d + 1]);
    }
    __syncthreads();  // U: every reader is asked
    return (integer)shared.first;
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

// Lets go of the events that every reader has read; a block for each source.
__device__ void drop_read(const Net &net, Shared &shared) {
    const integer *head = net.table;
    for (integer place = blockIdx.x; place < head[H_SOURCES]; place += gridDim.x) {
        integer *source = row_of(net, H_SOURCE, SOURCE, place);
        const integer read = first_unread(net, place, shared), left = source[S_COUNT] - read;
        __syncthreads();  // V: every thread knows what moves
        if (read > 0) {
            move_down(net.time + source[S_OFFSET], read, left);
            move_down(net.index + source[S_OFFSET], read, left);
            if (source[S_VALUE] >= 0) move_down(net.value + source[S_VALUE], read, left);
            for (integer p = 0; p < head[H_PROJECTIONS]; p++) {
                const integer *projection = row_of(net, H_PROJECTION, PROJECTION, p);
                integer *delay = net.table + projection[P_DELAY];
                if (projection[P_SOURCE] != place) continue;
                for (integer d = threadIdx.x; d < projection[P_DELAYS]; d += blockDim.x) delay[2 * d + 1] -= read;
            }
        }
        if (threadIdx.x == 0) source[S_COUNT] = source[S_START] = left;
    }
    meet(net);  // 2: what is left is written down
}
