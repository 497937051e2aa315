package e2e

import (
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"herald/hardware/sim/smtp"
)

// portalAtMost is what a customer's page may weigh with all that it loads.
const portalAtMost = 100 * 1000

// inChinese is what the pages say for the story's words to a customer who
// reads Chinese.
var inChinese = map[string]string{
	"Create an account":                             "注册账号",
	"Create my account":                             "注册",
	"3 things need another look:":                   "有 3 处需要修改：",
	"2 things need another look:":                   "有 2 处需要修改：",
	"Please fill this in.":                          "请填写此项。",
	"Please enter a number, without commas.":        "请填写数字，不要加逗号。",
	"This is not right. Please try again.":          "不正确，请重新输入。",
	"is your code":                                  "您的验证码是",
	"mei@example.com is confirmed.":                 "mei@example.com 已通过验证。",
	"Confirm":                                       "确认",
	"You have no alerts yet.":                       "您还没有设置提醒。",
	"Set up your first alert":                       "设置第一个提醒",
	"Price drop":                                    "降价提醒",
	"More settings":                                 "更多设置",
	"Create this alert":                             "设置提醒",
	"Would it have told me anything last week?":     "过去一周它会通知我吗？",
	"In the past week it would have told you once.": "过去一周里，它会通知您 1 次。",
	"You will hear about one thing.":                "您订阅了 1 件事。",
	"kettle at 49 or less":                          "kettle 降至 49 或更低",
	"is now €45.00":                                 "降到 €45.00 了",
	"is now €43.00":                                 "降到 €43.00 了",
	"Why did I get this?":                           "为什么发给我？",
	"Price: €45":                                    "现价：€45",
	"You asked: kettle at 49 or less":               "您订阅了：kettle 降至 49 或更低",
	"You agreed to hear about this by e-mail":       "您同意用邮件接收这类消息",
	"Sent by e-mail to":                             "已用邮件发给",
	"Change":                                        "修改",
	"Save the changes":                              "保存修改",
	"Pause":                                         "暂停",
	"Resume":                                        "恢复",
	"Stop":                                          "停止",
	"Keep it":                                       "先留着",
	"Sign out":                                      "退出登录",
	"Sign in":                                       "登录",
	"Stop these messages?":                          "不再接收这类消息？",
	"That account and password do not go together.": "账号或密码不正确",
	"That was tried too many times.":                "尝试次数过多",
}

func TestPortal(t *testing.T) {
	t.Parallel()
	t.Run("at a desk, in English", func(t *testing.T) { walkPortal(t, desktop, nil) })
	t.Run("on a phone without scripts, in Chinese", func(t *testing.T) { walkPortal(t, phone, inChinese) })
}

// customer is somebody who walks through the customers' pages.
type customer struct {
	*visitor
	herald *herald
	mails  int // read so far
}

func walkPortal(t *testing.T, w window, words map[string]string) {
	h := start(t)
	c := &customer{visitor: visit(t, h.url, w), herald: h}
	c.words, c.atMost = words, portalAtMost
	c.registers()
	c.createsAlert()
	mail := c.isTold()
	c.pausesAndResumes()
	c.looksAround()
	c.unsubscribes(mail)
	c.signsOut()
	c.isHeldBack()
}

const customerPassword = "price and prejudice"

func (c *customer) registers() {
	c.t.Helper()
	c.open("/")
	c.press("Create an account")
	c.fill("display_name", "Mei")
	c.pressFor("Create my account", http.StatusUnprocessableEntity)
	c.sees("3 things need another look:", "Please fill this in.")
	c.entered("display_name", "Mei")
	c.fill("account", "mei")
	c.fill("password", customerPassword)
	c.fill("contacts[0].address", "mei@example.com")
	c.press("Create my account")

	mail := c.nextMail("is your code")
	c.fill("code", "000000")
	c.pressFor("Confirm", http.StatusUnprocessableEntity)
	c.sees("This is not right. Please try again.")
	c.fill("code", regexp.MustCompile(`\d{6}`).FindString(mail.Subject))
	c.press("Confirm")
	c.sees("mei@example.com is confirmed.", "You have no alerts yet.")
}

func (c *customer) createsAlert() {
	c.t.Helper()
	c.press("Set up your first alert")
	c.press("Price drop")
	c.fill("params.target", "cheap")
	c.pressFor("Create this alert", http.StatusUnprocessableEntity)
	c.sees("2 things need another look:", "Please fill this in.", "Please enter a number, without commas.")
	c.entered("params.target", "cheap")
	c.priceIs(48)
	c.fill("params.product", "kettle")
	c.fill("params.target", "49")
	c.unfold("More settings")
	c.choose("cool_down", "0s")
	c.triesItOnThePast()
	c.press("Create this alert")
	c.sees("You will hear about one thing.", "kettle at 49 or less")
}

// triesItOnThePast asks what the alert would have told, of a price that came
// before there was one: by its button or, where scripts run, by typing alone.
func (c *customer) triesItOnThePast() {
	c.t.Helper()
	const told = "In the past week it would have told you once."
	if c.window.noScripts {
		c.press("Would it have told me anything last week?")
		c.sees(told)
		c.reads("€48")
		c.entered("params.product", "kettle")
	} else {
		c.awaits("the past to be told", fmt.Sprintf("document.querySelector('#preview').innerText.includes(%q)", c.say(told)))
	}
}

// isTold lets the price fall and follows the mail to its reasons.
func (c *customer) isTold() smtp.Mail {
	c.t.Helper()
	c.priceIs(45)
	mail := c.nextMail("is now €45.00")
	c.herald.rest()
	c.open(regexp.MustCompile(`http\S+/why/\S+`).FindString(mail.Text))
	c.sees("Why did I get this?", "Price: €45", "You asked: kettle at 49 or less",
		"You agreed to hear about this by e-mail", "Sent by e-mail to")
	c.readsNot("mei@example.com") // whoever has the mail has this page
	return mail
}

// pausesAndResumes has an alert that tells nothing while it is paused.
func (c *customer) pausesAndResumes() {
	c.t.Helper()
	c.open("/alerts")
	c.press("Pause")
	c.priceIs(44)
	c.press("Resume")
	c.priceIs(43)
	c.nextMail("is now €43.00")
}

// looksAround comes to every other page of a customer.
func (c *customer) looksAround() {
	c.t.Helper()
	for _, path := range []string{"/sent", "/profile", "/profile/password", "/contacts/new", "/alerts/ended", "/new"} {
		c.open(path)
	}
	c.open("/alerts")
	c.press("Change")
	c.entered("params.target", "49")
	c.press("Save the changes")
	c.press("Stop")
	c.press("Keep it")
	c.openFor(http.StatusNotFound, "/alerts/999999")
}

// unsubscribes uses the mail's link, first by looking at it, which ends
// nothing, then as a mail program does (RFC 8058).
func (c *customer) unsubscribes(mail smtp.Mail) {
	c.t.Helper()
	if got := mail.Get("List-Unsubscribe-Post"); got != "List-Unsubscribe=One-Click" {
		c.t.Errorf("List-Unsubscribe-Post: %q", got)
	}
	link := strings.Trim(mail.Get("List-Unsubscribe"), "<>")
	c.open(link)
	c.sees("Stop these messages?", "kettle at 49 or less")
	c.open("/alerts")
	c.sees("You will hear about one thing.")
	res, err := http.PostForm(link, url.Values{"List-Unsubscribe": {"One-Click"}})
	c.must(err)
	res.Body.Close()
	if res.StatusCode != http.StatusOK {
		c.t.Errorf("one-click POST = %d", res.StatusCode)
	}
	c.open("/alerts")
	c.sees("You have no alerts yet.")
	c.priceIs(42)
	if l := c.herald.rest(); l.Targeted != 3 { // the code and two prices
		c.t.Errorf("after unsubscribing the ledger is %+v", l)
	}
}

func (c *customer) signsOut() {
	c.t.Helper()
	c.do("open the menu", chromedp.Click(chromedp.CSS("details.menu summary")))
	c.press("Sign out")
	c.open("/alerts") // leads to the sign-in
	c.sees("Sign in")
}

// isHeldBack guesses a password until told to wait.
func (c *customer) isHeldBack() {
	c.t.Helper()
	for try := 1; try < 20; try++ {
		c.fill("account", "mei")
		c.fill("password", fmt.Sprintf("a guess, number %d", try))
		if c.pressFor("Sign in", http.StatusUnauthorized, http.StatusTooManyRequests) == http.StatusTooManyRequests {
			c.sees("That was tried too many times.")
			return
		}
		c.sees("That account and password do not go together.")
	}
	c.t.Error("19 guesses were let through")
}

// priceIs sends the event that the kettle costs so much.
func (c *customer) priceIs(amount float64) {
	c.t.Helper()
	c.herald.call(http.StatusAccepted, "POST", "/api/v1/events", structured, price(fmt.Sprint("price-", amount), amount), nil)
}

// nextMail is the mail that comes next; its subject says this, in the story's
// words.
func (c *customer) nextMail(says string) smtp.Mail {
	c.t.Helper()
	c.mails++
	c.herald.waitForMails(int64(c.mails))
	mail := c.herald.mail.Messages()[c.mails-1]
	if !strings.Contains(mail.Subject, c.say(says)) {
		c.t.Errorf("the mail's subject is %q, want %q in it", mail.Subject, c.say(says))
	}
	return mail
}
