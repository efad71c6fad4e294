package console

// inChinese are the texts of the pages, by the English ones.
var inChinese = map[string]string{
	// All pages
	"Skip to the content": "跳到正文", "Pages": "页面", "Overview": "总览", "Account": "账号", "Jobs in flight": "进行中的任务", "Dead letters": "死信",
	"Audit": "操作记录", "Stop updates": "停止刷新", "Resume updates": "恢复刷新", "Log out": "退出", "Log in": "登录", "Name": "名称", "User name": "用户名", "Password": "密码",
	"viewer": "只读", "operator": "操作员", "Times are in UTC.": "时间均为 UTC。", "Error": "出错了", "Dead letter": "死信详情",
	"The console does not answer: what is shown is old.": "控制台没有应答，页面显示的是旧数据。",
	"Name or password is wrong.":                         "用户名或密码不对。",
	"Too many attempts: wait a little.":                  "尝试次数过多，请稍候再试。",
	"Only operators may do this.":                        "只有操作员可以执行此操作。",

	// What things are called
	"urgent": "加急", "normal": "普通", "everything": "全部", "lane %s": "通道 %s", "tenant %s": "租户 %s", "account %s": "账号 %s", "consumer %s": "消费者 %s",
	"pause": "暂停", "resume": "恢复", "cancel": "取消", "replay": "重放", "drop": "丢弃",
	"succeeded": "成功", "failed": "失败", "needs_scan": "需要扫码", "unauthorized": "凭证被拒", "expired": "已过期", "throttled": "被限流", "unknown": "结果未知",
	"invalid": "任务无效", "cancelled": "已取消",
	"another confirmation of its account": "同一账号的另一次确认", "a slot": "空闲名额", "its tenant's turn under --gateway-rate": "租户在 --gateway-rate 下的轮次",
	"somebody to resume it": "解除暂停", "a credential that the gateway takes": "网关接受的凭证", "a gateway that works": "网关恢复正常", "Redis to answer": "Redis 应答",
	"NATS to answer": "NATS 应答", "is worked on": "处理中", "its phone asks": "手机正在弹窗", "waits": "等待",
	"OK": "正常", "Warning": "注意", "Problem": "故障", "Calls fail to gateway": "调用失败的网关", "The gateway refuses the credential of tenant": "凭证被网关拒绝的租户",
	"Redis may have lost locks": "Redis 可能丢失了锁", "Redis may have lost locks, for pod": "Redis 可能丢失了锁，受影响的 pod",

	// Overview and jobs
	"In figures": "关键数字", "Backlog": "积压任务", "Phones that ask": "正在弹窗的手机", "Pods": "Pod", "Pauses": "暂停", "Trouble": "故障", "seen by %s": "由 %s 发现",
	"Settings that differ between pods": "各 pod 不一致的配置", "%d pods": "%d 个 pod", "Nothing is paused.": "没有暂停。", "Lanes": "通道", "Lane": "通道", "Jobs": "任务数",
	"Queued": "排队", "Taken": "已取出", "Oldest": "最早", "Waiting in pods": "在 pod 中等待", "No job waits.": "没有任务在等待。", "Ended in the last 15 minutes": "最近 15 分钟的结果",
	"%d jobs ended; at most %d in a minute": "共结束 %d 个任务，一分钟内最多 %d 个", "No job ended.": "没有任务结束。",
	"Phones that ask, the longest first": "正在弹窗的手机，时间最长的在前", "No phone asks.": "没有手机在弹窗。", "Pod": "Pod", "State": "状态", "Asking": "弹窗中", "Slots": "名额",
	"Waiting": "等待中", "Up for": "已运行", "Version": "版本", "stops": "正在停止", "starts no confirmation": "不发起确认", "works": "正常工作", "No pod answers.": "没有 pod 应答。",
	"Job": "任务", "Tenant": "租户", "Asks for": "已弹窗", "At most": "最多还有", "%d more are not shown.": "另有 %d 条未显示。", "Waits for": "在等什么",

	// Account
	"Account (wcId)": "账号（wcId）", "Job id (optional)": "任务 id（可选）", "Explain": "查询", "Not all was looked at:": "未能全部查看：", "Who holds it": "被谁占用",
	"For at most": "最多还有", "Nobody.": "无人占用。", "Cooling down": "冷却中", "Why": "原因", "For": "时长", "Pauses about it": "相关的暂停", "Jobs in pods": "pod 中的任务",
	"Behind": "排在其后", "None.": "无。", "Jobs in the queue": "队列中的任务", "Stored": "存入时间", "comes back after a while": "稍后重新投递",
	"behind about %d others": "前面约有 %d 个", "Last events, the newest first": "最近的事件，最新的在前", "asked the phone": "弹过窗", "shared with %s": "与 %s 共享结果",
	"from the online list": "来自在线列表", "not before": "最早重试时间", "No event is left.": "没有留存的事件。", "since": "始于", "until": "直到", "by": "操作人",
	"That can't be an account: want 1 to 128 bytes without control characters.": "账号格式不对：应为 1 到 128 字节，且不含控制字符。",
	"Others search for accounts just now: try again.":                           "正有其他人在查询账号，请再试一次。",

	// Dead letters
	"Reason has in it": "原因包含", "Job id": "任务 id", "any": "不限", "Filter": "筛选", "All": "全部",
	"The dead letters are being read. This takes a few seconds when they are many.": "正在读取死信，数量多时需要几秒钟。",
	"By reason": "按原因汇总", "Reason of the newest": "最新一封的原因", "Letters": "数量", "Accounts": "账号数", "Newest": "最新", "(no reason)": "（无原因）",
	"Letters, the newest first": "死信列表，最新的在前", "Number": "编号", "Died": "成为死信", "From": "来源", "Reason": "原因", "Pages of letters": "死信分页", "Newer": "较新",
	"Older": "较早", "Page %d of %d": "第 %d 页，共 %d 页", "There are no such dead letters.": "没有符合条件的死信。", "As of": "截至",
	"The list and the filter have the newest %d; relogin dead list has all.": "列表与筛选只含最新的 %d 封；relogin dead list 可查全部。",
	"There is no such dead letter.":                                          "没有这封死信。",
	"Deliveries":                                                             "投递次数", "Sent": "发送时间", "Body": "正文", "%d bytes": "%d 字节", "Headers": "消息头", "Value": "值",
	"Not all of it is shown: relogin dead show %d has the rest.": "正文未全部显示：relogin dead show %d 可查看其余部分。",

	// Changes
	"Pause…": "暂停…", "Pause": "暂停", "Pause this account…": "暂停此账号…", "Resume…": "恢复…", "Resume": "恢复", "Why (optional)": "原因（可选）", "How long": "时长",
	"until somebody resumes it": "直到手动恢复", "a tenant": "某个租户", "an account": "某个账号", "Name of the tenant or account": "租户或账号的名称",
	"Replay…": "重放…", "Replay": "重放", "Drop…": "丢弃…", "Drop": "丢弃", "It is deleted for good.": "删除后无法找回。",
	"It becomes a job again, as it was. It dies again unless what was wrong is mended.": "按原样重新成为任务。如果问题没有解决，还会再次成为死信。",
	"Replay these (%d)…": "重放这 %d 封…", "Drop these (%d)…": "丢弃这 %d 封…", "%d done so far, %d failed": "已完成 %d 封，失败 %d 封，进行中", "%d done, %d failed": "完成 %d 封，失败 %d 封",
	"Preview": "预览", "Letters: %d": "共 %d 封死信", "These are all dead letters: no filter is set.": "未设筛选条件，以下是全部死信。", "They are deleted for good.": "删除后无法找回。",
	"They become jobs again, as they were. They die again unless what was wrong is mended.": "它们按原样重新成为任务。如果问题没有解决，还会再次成为死信。",
	"Letters that come from now on are not among them.":                                     "此后新产生的死信不受影响。",
	"Drop (%d)": "丢弃 %d 封", "Replay (%d)": "重放 %d 封", "The newest of them": "其中最新的几封", "Replay dead letters": "重放死信", "Drop dead letters": "丢弃死信",
	"Paused: no phone of these jobs asks. Confirmations that are open finish.": "已暂停：相关任务不再弹窗，已弹出的窗口照常完成。", "Resumed.": "已恢复。",
	"It is a job again.": "已重新成为任务。", "It is dropped.": "已丢弃。", "It has begun.": "已开始执行。",
	"Say why, in one line of at most 500 bytes.":                            "请用一行文字说明原因，不超过 500 字节。",
	"That can't be how long: want such as 30m, 8h or 2d.":                   "时长格式不对，应如 30m、8h 或 2d。",
	"That can't be paused: name a tenant or an account, of 1 to 128 bytes.": "无法暂停：请填写租户或账号的名称，1 到 128 字节。",
	"It is not paused any more.":                                            "它已不在暂停中。",
	"Dead letters are replayed or dropped, and nothing else.":               "对死信只能重放或丢弃。",
	"There are too many dead letters to count them here: use relogin dead.": "死信过多，这里无法统计：请使用 relogin dead。",
	"Look at the preview first.":                                            "请先查看预览。",
	"Others are being replayed or dropped: wait until that is done.":        "正在重放或丢弃另一批死信，请等它完成。",

	// Audit
	"What people did, the newest first": "操作历史，最新的在前", "When": "时间", "Did": "操作", "What": "对象", "Who": "操作人", "Nobody has done anything yet.": "还没有任何操作。",
}
