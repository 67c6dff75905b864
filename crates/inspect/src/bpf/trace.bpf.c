// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * Calls about sockets, as they begin and end, with what they point to; the processes that make
 * them, and the states of their sockets: through one ring that wakes nobody, the reader polls.
 *
 * What a call's arguments mean is not known here. The reader says for each number, in a table,
 * which argument is the descriptor and which ones point to what (trace/calls.rs), and puts
 * together what belongs together (trace/pairs.rs).
 *
 * A call makes a record when it begins and one when it ends, each after the pieces of memory
 * that belong to it. Memory that is not there yet when a call begins - a constant of a program
 * that nobody has read so far - cannot be waited for here: it is read once more at the end.
 *
 * Numbers and arguments are read as x86-64 has them. Calls by 32-bit programs and by io_uring
 * are not told.
 */

typedef unsigned char __u8;
typedef unsigned short __u16;
typedef unsigned int __u32;
typedef unsigned long long __u64;
typedef signed int __s32;
typedef signed long long __s64;
typedef __u16 __be16;
typedef __u32 __be32;
typedef __u32 __wsum;

enum {
	BPF_MAP_TYPE_HASH = 1,
	BPF_MAP_TYPE_ARRAY = 2,
	BPF_MAP_TYPE_RINGBUF = 27,
};

enum { BPF_RB_NO_WAKEUP = 1 };

#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>

#include "life_kernel.h"
#include "trace_kernel.h"

#define AF_INET 2
#define AF_INET6 10
#define IPPROTO_TCP 6
#define SOCK_STREAM 1
#define S_IFMT 0170000
#define S_IFSOCK 0140000
#define TS_COMPAT 2 /* arch/x86/include/asm/thread_info.h */
#define TCP_LISTEN 10 /* include/net/tcp_states.h */
#define TCP_SYN_RECV 3

enum kind {
	BEGAN = 1,
	ENDED,
	PIECE,
	STATE,
	FORK,
	EXEC,
	THREAD_EXIT,
	EXIT,
};

/* trace_record.rs reads these; sizes and order are the agreement. */
struct moment {
	__u64 time; /* CLOCK_MONOTONIC, nanoseconds */
	__u64 started; /* the process, nanoseconds since boot */
	__u64 arguments[6];
	__s64 result;
	__u64 inode; /* of the socket; 0 where there is none */
	__u64 cookie; /* 0 where it has none yet */
	__u32 sent; /* TCP: where in the stream the next byte written will be */
	__u32 read; /* TCP: where in the stream the next byte read is */
	__u32 pid;
	__u32 tid;
	__s32 fd;
	__u32 namespace; /* of the network */
	__u16 number; /* of the call */
	__u8 kind;
	__u8 family;
	__u8 type;
	__u8 state;
	__u8 old_state;
	__u8 unused;
	__u16 protocol;
	__u16 local_port;
	__u16 remote_port;
	__u16 unused_too;
	__u8 local[ADDRESS_LENGTH]; /* of IPv4 the first four */
	__u8 remote[ADDRESS_LENGTH];
	char name[NAME_LENGTH]; /* of the process: of its first thread */
};

struct piece {
	__u64 length; /* what the program said */
	__u32 tid;
	__u32 pid;
	__u32 captured;
	__u16 part; /* which of a vector */
	__u8 kind; /* the same place as in a moment would cost more than it is worth */
	__u8 role;
	__u8 index; /* which of the call's pieces */
	__u8 message; /* which of several */
	__u8 phase; /* BEGAN or ENDED */
	__u8 failed;
	__u32 unused;
	__u8 bytes[];
};

/* What the bytes of a piece are. */
enum role { WHOLE, HEADER, NAME, PART, CONTROL };

/* How a piece lies in memory. */
enum layout { BYTES = 1, VECTORS, MESSAGE, MESSAGES };

/* Where its length is. */
enum measure {
	ARGUMENT, /* an argument, times the number */
	FIXED, /* the number */
	RESULT, /* what the call returned, times the number */
	POINTED, /* an int that an argument points to */
};

struct wanted_piece {
	__u8 phase; /* BEGAN, ENDED, or 0: nothing */
	__u8 layout;
	__u8 argument; /* that points to it */
	__u8 measure;
	__u8 length_argument;
	__u8 number;
	__u16 unused;
};

#define PIECES 4
#define NO_ARGUMENT 6
#define FD_RETURNED 7

struct wanted_call {
	__u8 told;
	__u8 fd; /* the argument that is the descriptor, NO_ARGUMENT or FD_RETURNED */
	__u8 other_fd; /* or else this one, or NO_ARGUMENT */
	__u8 makes; /* whether it returns a new descriptor, which is told at its end */
	__u32 unused_too;
	struct wanted_piece pieces[PIECES];
};

struct settings {
	__u32 pid_namespace; /* whose numbers are wanted */
	__u32 launcher; /* whose children are traced; 0: nobody's */
	__u32 limit; /* bytes of each buffer, at most */
	__u16 port; /* only sockets that use it, or none yet; 0: any */
	__u8 by_process; /* only processes in the table, and their children */
	__u8 by_name; /* only processes of that name */
	__u32 network; /* only sockets of that namespace; 0: any */
	__u32 unused;
	char name[NAME_LENGTH];
};

/* The first pid namespace, in which a task's own numbers count (PROC_PID_INIT_INO). */
#define FIRST_PID_NAMESPACE 0xEFFFFFFCU
/* How deep a process may stand below it (the kernel's MAX_PID_NS_LEVEL is 32). */
#define DEEPEST 4
/* More is not told of a vector, or of several messages: the reader sees how many there are. */
#define MOST_PARTS 16
#define MOST_STEPS 32
#define LONGEST_CONTROL 256
#define LONGEST_NAME 128
#define LONGEST 4096

/* The reader sets how large. */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} events SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct settings);
} settings SEC(".maps");

/* By number. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct wanted_call);
} calls SEC(".maps");

/* Records for which the ring had no room. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} lost SEC(".maps");

/* Processes that are traced, by their numbers in the namespace that is asked for. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u8);
} traced SEC(".maps");

/* A descriptor that is a socket, and where that is. */
struct found {
	struct sock *sk;
	__u64 inode;
	__u16 local_port;
	__u16 remote_port;
	__u16 family;
	__u16 unused;
	__s32 fd;
};

/*
 * A call while a thread is within it, and what belongs to it while its pieces are read. It is no
 * variable of a program but memory of a table: of that the verifier follows no values, of which
 * there would be too many.
 */
struct about {
	__u64 arguments[8];
	__s64 result;
	/* What is told next: where it is, how long, and how much of that at most. */
	__u64 at;
	__u64 length;
	__u64 most;
	/* The messages, or the one piece of memory. */
	__u64 address;
	__u64 count;
	/* The message's own. */
	__u64 name;
	__u64 name_length;
	__u64 control;
	__u64 control_length;
	__u64 vectors;
	__u64 vector_count;
	__u64 room; /* bytes of the vector that were used, as far as they are not told yet */
	__u64 left; /* bytes of it that may still be told */
	__u32 tid;
	__u32 pid;
	__u32 limit;
	__u16 part;
	__u8 failed; /* a bit for each piece that could not be read */
	__u8 phase;
	__u8 index;
	__u8 message;
	__u8 layout;
	__u8 stage;
	__u8 role;
	__u8 moment; /* BEGAN or ENDED; `phase` is that of the piece */
	__u8 also; /* a bit for each piece that is told late */
	__u8 unused;
	struct found found;
};

/*
 * Whose low bits are not marked is not in the tables that follow: who is not traced pays for a look
 * here and no more. A mark is never taken back, so that nobody can take that of another.
 */
#define MARKS 65536
struct marks {
	__u8 of[MARKS];
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct marks);
} marks SEC(".maps");

/* By the threads' own numbers. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct about);
} within SEC(".maps");

static __always_inline void count_lost(void)
{
	__u32 first = 0;
	__u64 *count = bpf_map_lookup_elem(&lost, &first);

	if (count)
		__sync_fetch_and_add(count, 1);
}

static __always_inline int is_marked(__u32 number)
{
	__u32 first = 0;
	struct marks *found = bpf_map_lookup_elem(&marks, &first);

	return found && found->of[number & (MARKS - 1)];
}

static __always_inline void mark(__u32 number)
{
	__u32 first = 0;
	struct marks *found = bpf_map_lookup_elem(&marks, &first);

	if (found)
		found->of[number & (MARKS - 1)] = 1;
}

/* The number that a task has in that namespace; 0 where it has none there. */
static __always_inline __u32 number_in(struct task_struct *task, __u32 namespace)
{
	struct pid *pid = task->thread_pid;
	unsigned int level, deepest;

	if (namespace == FIRST_PID_NAMESPACE)
		return task->pid;
	if (!pid)
		return 0;
	deepest = pid->level;
#pragma unroll
	for (level = 0; level <= DEEPEST; level++) {
		struct upid *at = (void *)&pid->numbers[0] + level * bpf_core_type_size(struct upid);
		struct pid_namespace *seen = 0;
		unsigned int inum = 0;
		int number = 0;

		if (level > deepest)
			break;
		bpf_core_read(&seen, sizeof(seen), &at->ns);
		if (!seen)
			break;
		bpf_core_read(&inum, sizeof(inum), &seen->ns.inum);
		if (inum != namespace)
			continue;
		bpf_core_read(&number, sizeof(number), &at->nr);
		return number;
	}
	return 0;
}

static __always_inline struct settings *asked(void)
{
	__u32 first = 0;

	return bpf_map_lookup_elem(&settings, &first);
}

static __always_inline int has_name(struct task_struct *leader, const char *name)
{
	__u64 is[NAME_LENGTH / 8];
	const __u64 *wanted = (const void *)name;

	__builtin_memcpy(is, leader->comm, NAME_LENGTH);
	return is[0] == wanted[0] && is[1] == wanted[1];
}

/* Its number where it is traced, or 0. */
static __always_inline __u32 traced_number(struct task_struct *task, struct settings *settings)
{
	struct task_struct *leader = task->group_leader;
	__u32 pid = number_in(leader, settings->pid_namespace);

	if (settings->by_process && (!is_marked(pid) || !bpf_map_lookup_elem(&traced, &pid)))
		return 0;
	if (settings->by_name && !has_name(leader, settings->name))
		return 0;
	return pid;
}

static __always_inline struct moment *begin(__u8 kind)
{
	struct moment *moment = bpf_ringbuf_reserve(&events, sizeof(*moment), 0);

	if (!moment) {
		count_lost();
		return 0;
	}
	__builtin_memset(moment, 0, sizeof(*moment));
	moment->time = bpf_ktime_get_ns();
	moment->kind = kind;
	moment->fd = -1;
	return moment;
}

static __always_inline void write_process(struct moment *moment, struct task_struct *task,
					  __u32 namespace)
{
	struct task_struct *leader = task->group_leader;

	moment->tid = number_in(task, namespace);
	moment->pid = number_in(leader, namespace);
	moment->started = leader->start_boottime;
	__builtin_memcpy(moment->name, leader->comm, NAME_LENGTH);
}

/* The socket that a task's descriptor is; returns whether it is one. */
static __always_inline int find(struct found *found, struct task_struct *task, __u64 fd)
{
	struct file **files = 0, *file = 0;
	struct fdtable *table;
	struct socket *socket = 0;
	struct inode *inode = 0;
	struct sock *sk = 0;
	unsigned short mode = 0;
	__be16 port = 0;

	table = task->files->fdt;
	if ((__u32)fd >= table->max_fds)
		return 0;
	bpf_core_read(&files, sizeof(files), &table->fd);
	bpf_probe_read_kernel(&file, sizeof(file), files + (__u32)fd);
	if (!file)
		return 0;
	bpf_core_read(&inode, sizeof(inode), &file->f_inode);
	bpf_core_read(&mode, sizeof(mode), &inode->i_mode);
	if ((mode & S_IFMT) != S_IFSOCK)
		return 0;
	bpf_core_read(&found->inode, sizeof(found->inode), &inode->i_ino);
	bpf_core_read(&socket, sizeof(socket), &file->private_data);
	bpf_core_read(&sk, sizeof(sk), &socket->sk);
	if (!sk)
		return 0;
	found->sk = sk;
	found->fd = fd;
	found->family = BPF_CORE_READ(sk, __sk_common.skc_family);
	if (found->family == AF_INET || found->family == AF_INET6) {
		/* skc_num is 0 as soon as a port is given back, and inet_sport is not. */
		bpf_core_read(&port, sizeof(port), &((struct inet_sock *)sk)->inet_sport);
		found->local_port = bpf_ntohs(port);
		port = 0;
		bpf_core_read(&port, sizeof(port), &sk->__sk_common.skc_dport);
		found->remote_port = bpf_ntohs(port);
	}
	return 1;
}

static __always_inline void write_socket(struct moment *moment, struct found *found)
{
	struct sock *sk = found->sk;
	struct net *net = 0;

	moment->inode = found->inode;
	moment->family = found->family;
	moment->type = BPF_CORE_READ((struct sock___trace *)sk, sk_type);
	moment->protocol = BPF_CORE_READ(sk, sk_protocol);
	moment->state = BPF_CORE_READ(sk, __sk_common.skc_state);
	moment->cookie = BPF_CORE_READ(sk, __sk_common.skc_cookie.counter);
	bpf_core_read(&net, sizeof(net), &sk->__sk_common.skc_net.net);
	if (net)
		bpf_core_read(&moment->namespace, sizeof(moment->namespace), &net->ns.inum);
	moment->local_port = found->local_port;
	moment->remote_port = found->remote_port;
	if (found->family == AF_INET6) {
		bpf_core_read(&moment->local, ADDRESS_LENGTH, &sk->__sk_common.skc_v6_rcv_saddr);
		bpf_core_read(&moment->remote, ADDRESS_LENGTH, &sk->__sk_common.skc_v6_daddr);
	} else if (found->family == AF_INET) {
		bpf_core_read(&moment->local, sizeof(__be32), &sk->__sk_common.skc_rcv_saddr);
		bpf_core_read(&moment->remote, sizeof(__be32), &sk->__sk_common.skc_daddr);
	} else {
		return;
	}
	if (moment->protocol == IPPROTO_TCP && moment->type == SOCK_STREAM) {
		moment->sent = BPF_CORE_READ((struct tcp_sock *)sk, write_seq);
		moment->read = BPF_CORE_READ((struct tcp_sock *)sk, copied_seq);
	}
}

/* One size for each case: what is reserved must be known beforehand. */
#define COPY(size) \
	do { \
		piece = bpf_ringbuf_reserve(&events, sizeof(*piece) + (size), 0); \
		if (!piece) { \
			count_lost(); \
			return 0; \
		} \
		if (length > (size)) \
			length = (size); \
		failed = bpf_probe_read_user(piece->bytes, length, (void *)address); \
	} while (0)

/* Tells the bytes that are next. */
static __noinline int copy(struct about *about)
{
	struct piece *piece;
	__u64 address = about->at, length = about->length;
	long failed;

	if (length > about->most)
		length = about->most;
	if (length > LONGEST)
		length = LONGEST;
	if (length <= 64)
		COPY(64);
	else if (length <= 256)
		COPY(256);
	else if (length <= 1024)
		COPY(1024);
	else
		COPY(LONGEST);
	piece->length = about->length;
	piece->tid = about->tid;
	piece->pid = about->pid;
	piece->captured = failed ? 0 : length;
	piece->part = about->part;
	piece->kind = PIECE;
	piece->role = about->role;
	piece->index = about->index;
	piece->message = about->message;
	piece->phase = about->phase;
	piece->failed = failed != 0;
	piece->unused = 0;
	if (failed)
		about->failed |= 1U << (about->index & 3);
	bpf_ringbuf_submit(piece, BPF_RB_NO_WAKEUP);
	return 0;
}

/* What comes next. */
enum stage { AT_PIECE, AT_MESSAGE, AT_NAME, AT_CONTROL, AT_PARTS };
enum next { NO_MORE, SKIP, TELL };

static __always_inline int tell(struct about *about, __u8 role, __u64 at, __u64 length, __u64 most)
{
	about->role = role;
	about->at = at;
	about->length = length;
	about->most = most;
	return TELL;
}

static __always_inline int end_piece(struct about *about)
{
	about->index += 1;
	about->stage = AT_PIECE;
	return SKIP;
}

static __always_inline int unreadable(struct about *about)
{
	about->failed |= 1U << (about->index & 3);
	return end_piece(about);
}

/* How much of a vector was used: what a call returned, or what stands behind each message. */
static __always_inline int is_room_known(struct about *about)
{
	__u64 behind = about->address + sizeof(struct message);
	__u32 used = 0;

	about->room = ~0ULL;
	if (about->phase != ENDED)
		return 1;
	about->room = about->result;
	if (about->layout != MESSAGES)
		return 1;
	if (bpf_probe_read_user(&used, sizeof(used), (void *)behind))
		return 0;
	about->room = used;
	return 1;
}

static __always_inline int begin_parts(struct about *about, __u64 vectors, __u64 count)
{
	about->stage = AT_PARTS;
	about->vectors = vectors;
	about->vector_count = count;
	about->left = about->limit;
	about->part = 0;
	return is_room_known(about);
}

/* Whether the piece is told now: in its own phase, or late. */
static __always_inline int is_due(struct about *about, struct wanted_piece *wanted)
{
	about->phase = about->moment;
	if (wanted->phase == about->moment)
		/* What failed to come was not written. */
		return about->moment == BEGAN || about->result >= 0;
	about->phase = BEGAN;
	return about->also & 1U << (about->index & 3);
}

static __always_inline int begin_piece(struct about *about, struct wanted_call *call)
{
	struct wanted_piece *wanted = &call->pieces[about->index & 3];
	__u32 pointed = 0;

	if (about->index >= PIECES)
		return NO_MORE;
	about->message = 0;
	about->part = 0;
	about->layout = wanted->layout;
	about->address = about->arguments[wanted->argument & 7];
	if (!wanted->phase || !is_due(about, wanted) || !about->address)
		return end_piece(about);
	if (wanted->measure == ARGUMENT) {
		about->count = about->arguments[wanted->length_argument & 7] * wanted->number;
	} else if (wanted->measure == FIXED) {
		about->count = wanted->number;
	} else if (wanted->measure == RESULT) {
		about->count = about->result * wanted->number;
	} else {
		if (bpf_probe_read_user(&pointed, sizeof(pointed),
					(void *)about->arguments[wanted->length_argument & 7]))
			return unreadable(about);
		about->count = pointed;
	}
	if (!about->count)
		return end_piece(about);
	if (wanted->layout == BYTES) {
		about->vector_count = 0;
		about->stage = AT_PARTS;
		return tell(about, WHOLE, about->address, about->count, about->limit);
	}
	about->stage = AT_MESSAGE;
	if (wanted->layout == VECTORS)
		begin_parts(about, about->address, about->count);
	return SKIP;
}

/* One step: what is told next, if anything. */
static __noinline int next(struct about *about, struct wanted_call *call)
{
	struct message message;
	struct vector vector;

	switch (about->stage) {
	case AT_PIECE:
		return begin_piece(about, call);
	case AT_MESSAGE:
		if (bpf_probe_read_user(&message, sizeof(message), (void *)about->address))
			return unreadable(about);
		about->name = message.name;
		about->name_length = message.name_length;
		about->control = message.control;
		about->control_length = message.control_length;
		if (!begin_parts(about, message.vectors, message.count))
			return unreadable(about);
		about->stage = AT_NAME;
		return tell(about, HEADER, about->address, sizeof(message), sizeof(message));
	case AT_NAME:
		about->stage = AT_CONTROL;
		if (!about->name || !about->name_length)
			return SKIP;
		return tell(about, NAME, about->name, about->name_length, LONGEST_NAME);
	case AT_CONTROL:
		about->stage = AT_PARTS;
		if (!about->control || !about->control_length)
			return SKIP;
		return tell(about, CONTROL, about->control, about->control_length, LONGEST_CONTROL);
	}
	if (about->part < about->vector_count && about->part < MOST_PARTS && about->room) {
		if (bpf_probe_read_user(&vector, sizeof(vector),
					(void *)(about->vectors + about->part * sizeof(vector))))
			return unreadable(about);
		if (vector.length > about->room)
			vector.length = about->room;
		return tell(about, PART, vector.address, vector.length, about->left);
	}
	about->part = 0;
	if (about->layout != MESSAGES || about->count <= 1)
		return end_piece(about);
	about->count -= 1;
	about->message += 1;
	about->address += sizeof(struct numbered_message);
	about->stage = AT_MESSAGE;
	return SKIP;
}

/* Tells the memory that belongs to a moment of a call. */
static __noinline int copy_pieces(struct about *about, struct wanted_call *call)
{
	int step, what;

	about->index = 0;
	about->stage = AT_PIECE;
	for (step = 0; step < MOST_STEPS; step++) {
		what = next(about, call);
		if (what == NO_MORE)
			break;
		if (what == SKIP)
			continue;
		copy(about);
		if (about->role != PART)
			continue;
		about->part += 1;
		about->room -= about->length;
		about->left -= about->length < about->left ? about->length : about->left;
	}
	return 0;
}

static __always_inline void take_arguments(__u64 *into, struct pt_regs___trace *regs)
{
	into[0] = regs->di;
	into[1] = regs->si;
	into[2] = regs->dx;
	into[3] = regs->r10;
	into[4] = regs->r8;
	into[5] = regs->r9;
}

static __always_inline int is_wanted(struct found *found, struct settings *settings)
{
	__u16 port = settings->port;
	struct sock *sk = found->sk;
	struct net *net = 0;
	__u32 inum = 0;

	if (settings->network) {
		bpf_core_read(&net, sizeof(net), &sk->__sk_common.skc_net.net);
		if (net)
			bpf_core_read(&inum, sizeof(inum), &net->ns.inum);
		if (inum != settings->network)
			return 0;
	}
	if (!port)
		return 1;
	return (found->family == AF_INET || found->family == AF_INET6) &&
	       (found->local_port == port || found->remote_port == port ||
		/* It may connect yet, and send to whom it likes. */
		!found->remote_port);
}

/* What is told of a moment of a call. */
static __noinline int tell_moment(struct about *about, struct task_struct *task,
				  struct settings *settings, __u32 number)
{
	struct moment *moment = begin(about->moment);

	if (!moment)
		return 0;
	write_process(moment, task, settings->pid_namespace);
	moment->number = number;
	moment->result = about->result;
	__builtin_memcpy(moment->arguments, about->arguments, sizeof(moment->arguments));
	if (about->found.sk) {
		moment->fd = about->found.fd;
		write_socket(moment, &about->found);
	}
	bpf_ringbuf_submit(moment, BPF_RB_NO_WAKEUP);
	return 0;
}

/* Apart from what comes before: who is not traced does not pay for its memory. */
static __noinline int begin_call(struct pt_regs___trace *regs, struct wanted_call *call,
				 struct settings *settings, struct task_struct *task, __u32 pid)
{
	struct about begun = {}, *about;
	__u32 tid = task->pid;
	__u64 fd;

	take_arguments(begun.arguments, regs);
	if (call->fd < NO_ARGUMENT) {
		fd = begun.arguments[call->fd & 7];
		if (!find(&begun.found, task, fd)) {
			fd = begun.arguments[call->other_fd & 7];
			if (call->other_fd >= NO_ARGUMENT || !find(&begun.found, task, fd))
				return 0;
		}
		if (!is_wanted(&begun.found, settings))
			return 0;
	}
	begun.limit = settings->limit;
	begun.pid = pid;
	begun.tid = number_in(task, settings->pid_namespace);
	begun.moment = BEGAN;
	bpf_map_update_elem(&within, &tid, &begun, 0);
	mark(tid);
	/* From here on nothing of what was found is in this program's own memory. */
	about = bpf_map_lookup_elem(&within, &tid);
	if (!about) {
		count_lost();
		return 0;
	}
	copy_pieces(about, call);
	return tell_moment(about, task, settings, regs->orig_ax);
}

SEC("tp_btf/sys_enter")
int call_began(__u64 *ctx)
{
	struct pt_regs___trace *regs = (void *)ctx[0];
	__u32 number = ctx[1], pid;
	struct settings *settings;
	struct task_struct *task;
	struct wanted_call *call;

	if (!bpf_core_field_exists(regs->orig_ax))
		return 0;
	call = bpf_map_lookup_elem(&calls, &number);
	if (!call || !call->told)
		return 0;
	settings = asked();
	if (!settings)
		return 0;
	task = bpf_get_current_task_btf();
	pid = traced_number(task, settings);
	if (!pid || task->thread_info.status & TS_COMPAT)
		return 0;
	return begin_call(regs, call, settings, task, pid);
}

static __noinline int end_call(__u64 *ctx, struct wanted_call *call, struct task_struct *task,
			       struct about *about, __u32 number)
{
	struct settings *settings = asked();
	struct found found = {};
	__u64 fd;

	if (!settings)
		return 0;
	about->moment = ENDED;
	about->also = about->failed;
	about->result = (long)ctx[1];
	copy_pieces(about, call);
	if (call->fd != NO_ARGUMENT) {
		fd = about->arguments[call->fd & 7];
		if (call->fd == FD_RETURNED || (call->makes && about->result >= 0))
			fd = about->result;
		if (!find(&found, task, fd) && call->other_fd < NO_ARGUMENT) {
			fd = about->arguments[call->other_fd & 7];
			find(&found, task, fd);
		}
	}
	about->found = found;
	return tell_moment(about, task, settings, number);
}

SEC("tp_btf/sys_exit")
int call_ended(__u64 *ctx)
{
	struct pt_regs___trace *regs = (void *)ctx[0];
	struct task_struct *task;
	struct wanted_call *call;
	struct about *about;
	__u32 number, tid;

	if (!bpf_core_field_exists(regs->orig_ax))
		return 0;
	number = regs->orig_ax;
	call = bpf_map_lookup_elem(&calls, &number);
	if (!call || !call->told)
		return 0;
	task = bpf_get_current_task_btf();
	tid = task->pid;
	if (!is_marked(tid))
		return 0;
	about = bpf_map_lookup_elem(&within, &tid);
	if (!about)
		return 0;
	end_call(ctx, call, task, about, number);
	bpf_map_delete_elem(&within, &tid);
	return 0;
}

SEC("tp_btf/inet_sock_set_state")
int state_changed(__u64 *ctx)
{
	struct sock *sk = (void *)ctx[0];
	int old = (int)ctx[1], new = (int)ctx[2];
	struct settings *settings = asked();
	struct found found = { .sk = sk };
	struct moment *moment;
	struct socket *socket;
	struct file *file;
	__be16 port = 0;

	/* A child of a listener, which still has the cookie of that: it gets its own later. */
	if (!settings || (old == TCP_LISTEN && new == TCP_SYN_RECV))
		return 0;
	found.family = BPF_CORE_READ(sk, __sk_common.skc_family);
	bpf_core_read(&port, sizeof(port), &((struct inet_sock *)sk)->inet_sport);
	found.local_port = bpf_ntohs(port);
	bpf_core_read(&port, sizeof(port), &sk->__sk_common.skc_dport);
	found.remote_port = bpf_ntohs(port);
	if (!is_wanted(&found, settings))
		return 0;
	moment = begin(STATE);
	if (!moment)
		return 0;
	socket = sk->sk_socket;
	if (socket) {
		file = socket->file;
		if (file)
			found.inode = file->f_inode->i_ino;
	}
	write_socket(moment, &found);
	moment->cookie = bpf_get_socket_cookie(sk);
	moment->old_state = old;
	moment->state = new;
	bpf_ringbuf_submit(moment, BPF_RB_NO_WAKEUP);
	return 0;
}

/* Children of who is traced are traced. Threads are no processes. */
SEC("tp_btf/sched_process_fork")
int process_begun(__u64 *ctx)
{
	struct task_struct *parent = (void *)ctx[0], *child = (void *)ctx[1];
	struct settings *settings = asked();
	struct moment *moment;
	__u32 from, pid;
	__u8 yes = 1;

	if (!settings || !(settings->by_process || settings->launcher) ||
	    parent->tgid == child->tgid)
		return 0;
	from = number_in(parent->group_leader, settings->pid_namespace);
	if (!from || (from != settings->launcher && !bpf_map_lookup_elem(&traced, &from)))
		return 0;
	pid = number_in(child, settings->pid_namespace);
	mark(pid);
	if (bpf_map_update_elem(&traced, &pid, &yes, 0))
		count_lost();
	moment = begin(FORK);
	if (!moment)
		return 0;
	write_process(moment, child, settings->pid_namespace);
	moment->result = from;
	bpf_ringbuf_submit(moment, BPF_RB_NO_WAKEUP);
	return 0;
}

SEC("tp_btf/sched_process_exec")
int program_begun(__u64 *ctx)
{
	struct task_struct *task = (void *)ctx[0];
	struct settings *settings = asked();
	struct moment *moment;

	if (!settings || !traced_number(task, settings))
		return 0;
	moment = begin(EXEC);
	if (!moment)
		return 0;
	write_process(moment, task, settings->pid_namespace);
	bpf_ringbuf_submit(moment, BPF_RB_NO_WAKEUP);
	return 0;
}

SEC("tp_btf/sched_process_exit")
int task_ended(__u64 *ctx)
{
	struct task_struct *task = (void *)ctx[0];
	struct settings *settings = asked();
	__u32 tid = task->pid, pid;
	struct moment *moment;
	__u8 kind;

	if (!settings)
		return 0;
	pid = number_in(task->group_leader, settings->pid_namespace);
	/* It was in a call, which never returns. */
	if (!bpf_map_lookup_elem(&within, &tid) &&
	    !bpf_map_lookup_elem(&traced, &pid))
		return 0;
	bpf_map_delete_elem(&within, &tid);
	kind = task->signal->live.counter > 0 ? THREAD_EXIT : EXIT;
	if (kind == EXIT)
		bpf_map_delete_elem(&traced, &pid);
	moment = begin(kind);
	if (!moment)
		return 0;
	write_process(moment, task, settings->pid_namespace);
	bpf_ringbuf_submit(moment, BPF_RB_NO_WAKEUP);
	return 0;
}

char _license[] SEC("license") = "Dual MIT/GPL";
