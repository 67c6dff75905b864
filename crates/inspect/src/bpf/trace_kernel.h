// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * Structures of the kernel that trace.bpf.c uses beside those of life_kernel.h; where their
 * members lie is found when the program is loaded (CO-RE).
 */

/* Another view of life_kernel.h's: the loader takes off what follows the underlines. */
struct sock___trace {
	__u16 sk_type;
} KERNEL;

struct tcp_sock {
	__u32 write_seq;
	__u32 copied_seq;
} KERNEL;

struct pt_regs___trace {
	unsigned long di;
	unsigned long si;
	unsigned long dx;
	unsigned long r10;
	unsigned long r8;
	unsigned long r9;
	unsigned long orig_ax;
} KERNEL;

/* Structures of programs, which are agreed for ever: struct iovec, msghdr and mmsghdr. */
struct vector {
	__u64 address;
	__u64 length;
};

struct message {
	__u64 name;
	__u32 name_length;
	__u32 unused;
	__u64 vectors;
	__u64 count;
	__u64 control;
	__u64 control_length;
	__u32 flags;
	__u32 unused_too;
};

struct numbered_message {
	struct message message;
	__u32 length;
	__u32 unused;
};
