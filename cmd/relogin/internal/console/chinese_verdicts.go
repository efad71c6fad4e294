package console

// verdictsInChinese are the sentences of cockpit, and what it advises.
var verdictsInChinese = map[string]string{
	// The overview
	"No worker answers. Jobs in the queue: %d.": "没有 worker 应答，队列中有 %d 个任务。", "start one: relogin worker; where one runs, see its log": "启动一个：relogin worker；若已有 worker 在运行，请查看其日志", "start one: relogin worker": "启动一个：relogin worker",
	"Everything is paused%s: no phone asks.": "已全部暂停%s：没有手机弹窗。",
	"No pod starts a confirmation: %s.":      "没有 pod 发起确认：%s。", "see the runbook: docs/operations.md": "参见运维手册：docs/operations.zh-CN.md",
	"%d of the %d pods can't start a confirmation: %s: %s.": "%[2]d 个 pod 中有 %[1]d 个不发起确认：%[3]s：%[4]s。",
	"%s is paused%s%s.":                           "%s已暂停%s%s。",
	"The gateway refuses the credential of %s%s.": "网关拒绝以下租户的凭证：%s%s。", "replace it": "请更换凭证",
	"Nearly all of the %d slots are in use: more jobs come than people answer, and those that cannot ask yet are %d.": "%d 个名额几乎用尽：任务的到达快于用户的确认，尚不能弹窗的任务有 %d 个。",
	"add pods, or raise --concurrency": "增加 pod，或调高 --concurrency",
	"Pods differ in --%s%s.":           "各 pod 的 --%s 不一致%s。", "give all pods the same settings": "请统一所有 pod 的配置",
	"All is well, and there is nothing to do. Pods: %d.": "一切正常，没有待办任务。pod 数：%d。", "All is well. Pods: %d; phones that ask now: %d.": "一切正常。pod 数：%d；正在弹窗的手机：%d 部。",

	// Parts of sentences
	" since %s": "（始于 %s）", ", by %s": "，操作人 %s", " (%s)": "，原因：%s", " and %d more": "，另有 %d 项", "at most %s more": "最多还有 %s",
	" It is in the dead stream, too: relogin dead show %d.": "它也在死信中：relogin dead show %d。",

	// An account
	"The phone is asking since %s, for job %s in pod %s: somebody has to tap it, %s.":                   "手机自 %s 起正在弹窗，任务 %s，pod %s：等待用户点按，%s。",
	"Job %s of pod %s, which does not answer, holds the account: its prompt may still be open, for %s.": "账号被 pod %[2]s 的任务 %[1]s 占用，而该 pod 没有应答：弹窗可能还在，%[3]s。",
	"The answer to job %s of pod %s got lost: its prompt may still be open, for %s.":                    "pod %[2]s 的任务 %[1]s 没有收到应答：弹窗可能还在，%[3]s。",
	"wait: nothing else is safe": "请等待：其他做法都不安全",
	"Job %s %s.":                 "任务 %s %s。", "Pod %s is at work on job %s.": "pod %s 正在处理任务 %s。",
	"No job waits. A new one would end as throttled, for %s: %s.":                    "没有任务在等待。新任务会以“被限流”结束，%s：%s。",
	"No job waits. The last one, %s, ended as %s at %s.":                             "没有任务在等待。上一个任务 %s 的结果是“%s”，时间 %s。",
	"Nothing is known of this account: no job waits, and no event is left.":          "没有这个账号的任何记录：没有任务在等待，也没有留存的事件。",
	"Job %s is in the queue, and no worker runs.":                                    "任务 %s 在队列中，但没有 worker 在运行。",
	"Job %s is in the queue, and %s is paused%s.":                                    "任务 %s 在队列中，但%s已暂停%s。",
	"Job %s was handed back by a pod, or its pod died: it comes back after a while.": "任务 %s 被 pod 退回，或其 pod 已死：稍后重新投递。",
	"Job %s is in lane %s, behind about %d others.":                                  "任务 %s 在%s通道，前面约有 %d 个。", "if that is too many: add pods": "如果太多，请增加 pod",

	// What a job waits for
	"waits for a slot: the pod, or its tenant's share, has as many confirmations open as it may": "在等名额：pod（或租户的份额）同时进行的确认已达上限",
	"waits for its tenant's turn under --gateway-rate":                                           "在等租户在 --gateway-rate 下的轮次", "is paused": "已被暂停",
	"waits since the gateway refuses its tenant's credential": "在等待，因为网关拒绝其租户的凭证", "replace the credential": "请更换凭证",
	"waits since calls to the gateway fail": "在等待，因为对网关的调用失败", "see that the gateway works; relogin status has its last error": "请检查网关；relogin status 会显示最近的错误",
	"waits since Redis does not answer": "在等待，因为 Redis 没有应答", "see that Redis works": "请检查 Redis",
	"waits since Redis may have lost locks": "在等待，因为 Redis 可能丢失了锁", "it ends by itself": "会自行结束",
	"waits since NATS does not answer, or stores nothing": "在等待，因为 NATS 没有应答或无法存储", "see that NATS works and its streams are not full": "请检查 NATS 以及 stream 是否已满",

	// A job
	"Its phone asks since %s, pod %s; until %s at the latest.":               "手机自 %s 起正在弹窗，pod %s，最迟到 %s。",
	"It waits in pod %s since %s, for the confirmation of job %s in pod %s.": "自 %[2]s 起在 pod %[1]s 中等待 pod %[4]s 的任务 %[3]s 的确认。",
	"In pod %s since %s: it %s.":                                             "自 %[2]s 起在 pod %[1]s 中：任务%[3]s。", "Pod %s works on it since %s.": "pod %s 自 %s 起正在处理。",
	"It ended as %s at %s%s.%s": "结果是“%s”，时间 %s%s。%s", ", in pod %s": "，pod %s", "It could not be processed: %s.": "无法处理：%s。",
	"It has ended, and its event is stored: older than the events that are shown, or deleted.":  "任务已结束，事件已存储：早于所示的事件，或已被删除。",
	"No pod has it now, and Redis knows of it (%s): its pod died, or it is about to come back.": "目前没有 pod 持有它，但 Redis 有记录（%s）：其 pod 已死，或即将重新投递。",
	"wait for --ack-wait": "请等待 --ack-wait",
	"There is no trace of it: it was never stored, or it ended longer ago than --job-memory and --event-max-age.": "没有任何踪迹：从未存储过，或结束的时间已超过 --job-memory 和 --event-max-age。",
	"check id and wcId; relogin submit sends it again":                                                            "请核对 id 与 wcId；relogin submit 可重新发送",
}
