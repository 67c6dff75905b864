// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * Structures of the kernel, with the members that life.bpf.c uses alone; where these lie is found
 * when the program is loaded (CO-RE).
 */

#define KERNEL __attribute__((preserve_access_index))
#define NAME_LENGTH 16 /* TASK_COMM_LEN */
#define ADDRESS_LENGTH 16

struct ns_common {
	unsigned int inum;
} KERNEL;

struct pid_namespace {
	struct ns_common ns;
} KERNEL;

struct upid {
	int nr;
	struct pid_namespace *ns;
} KERNEL;

struct pid {
	unsigned int level;
	struct upid numbers[1];
} KERNEL;

struct inode {
	unsigned short i_mode;
	unsigned long i_ino;
} KERNEL;

struct file {
	struct inode *f_inode;
	void *private_data;
} KERNEL;

struct fdtable {
	unsigned int max_fds;
	struct file **fd;
} KERNEL;

struct files_struct {
	struct fdtable *fdt;
} KERNEL;

struct thread_info {
	__u32 status;
} KERNEL;

typedef struct {
	int counter;
} KERNEL atomic_t;

struct signal_struct {
	atomic_t live;
} KERNEL;

struct task_struct {
	struct thread_info thread_info;
	int pid;
	int tgid;
	struct pid *thread_pid;
	struct task_struct *group_leader;
	struct files_struct *files;
	struct signal_struct *signal;
	__u64 start_boottime;
	char comm[NAME_LENGTH];
} KERNEL;

struct net {
	struct ns_common ns;
} KERNEL;

typedef struct {
	struct net *net;
} KERNEL possible_net_t;

struct in6_addr {
	__u8 bytes[ADDRESS_LENGTH];
};

typedef struct {
	__s64 counter;
} KERNEL atomic64_t;

struct sock_common {
	__be32 skc_daddr;
	__be32 skc_rcv_saddr;
	__be16 skc_dport;
	__u16 skc_num;
	unsigned short skc_family;
	volatile unsigned char skc_state;
	unsigned char skc_reuse : 4;
	unsigned char skc_reuseport : 1;
	possible_net_t skc_net;
	struct in6_addr skc_v6_daddr;
	struct in6_addr skc_v6_rcv_saddr;
	atomic64_t skc_cookie;
} KERNEL;

struct socket;

typedef struct {
	unsigned int val;
} KERNEL kuid_t;

struct sock {
	struct sock_common __sk_common;
	__u16 sk_protocol;
	kuid_t sk_uid;
	struct socket *sk_socket;
} KERNEL;

struct inet_sock {
	__be16 inet_sport;
} KERNEL;

struct socket {
	struct file *file;
	struct sock *sk;
} KERNEL;

struct pt_regs___x86 {
	unsigned long di;
	unsigned long dx;
	unsigned long orig_ax;
} KERNEL;
