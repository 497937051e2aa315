package portal

import "herald/web/page"

// routes are all of the portal's pages.
func (p *portal) routes() []page.Route {
	return []page.Route{
		{Pattern: "GET /{$}", Handle: p.home},
		{Pattern: "GET /register", Handle: p.register},
		{Pattern: "POST /register", Handle: p.doRegister},
		{Pattern: "GET /sign-in", Handle: p.signIn},
		{Pattern: "POST /sign-in", Handle: p.doSignIn},
		{Pattern: "POST /sign-out", Handle: p.signOut},

		{Pattern: "GET /alerts", Handle: p.member(p.alerts)},
		{Pattern: "GET /alerts/ended", Handle: p.member(p.endedAlerts)},
		{Pattern: "GET /new", Handle: p.member(p.chooseAlert)},
		{Pattern: "GET /new/{trigger}", Handle: p.member(p.newAlert)},
		{Pattern: "POST /new/{trigger}", Handle: p.member(p.createAlert)},
		{Pattern: "POST /new/{trigger}/preview", Handle: p.member(p.previewNew)},
		{Pattern: "GET /alerts/{id}", Handle: p.member(p.editAlert)},
		{Pattern: "POST /alerts/{id}", Handle: p.member(p.changeAlert)},
		{Pattern: "POST /alerts/{id}/preview", Handle: p.member(p.previewChange)},
		{Pattern: "POST /alerts/{id}/extend", Handle: p.member(p.extendAlert)},
		{Pattern: "POST /alerts/{id}/pause", Handle: p.member(p.pauseAlert)},
		{Pattern: "POST /alerts/{id}/resume", Handle: p.member(p.resumeAlert)},
		{Pattern: "GET /alerts/{id}/stop", Handle: p.member(p.askStopAlert)},
		{Pattern: "POST /alerts/{id}/stop", Handle: p.member(p.stopAlert)},
		{Pattern: "POST /alerts/{id}/again", Handle: p.member(p.againAlert)},

		{Pattern: "GET /sent", Handle: p.member(p.sent)},
		{Pattern: "GET /sent/{id}", Handle: p.member(p.why)},

		{Pattern: "GET /profile", Handle: p.member(p.profile)},
		{Pattern: "POST /profile", Handle: p.member(p.changeProfile)},
		{Pattern: "GET /profile/password", Handle: p.member(p.password)},
		{Pattern: "POST /profile/password", Handle: p.member(p.changePassword)},
		{Pattern: "POST /profile/times", Handle: p.member(p.changeTimes)},
		{Pattern: "POST /profile/consents", Handle: p.member(p.changeConsents)},
		{Pattern: "GET /contacts/new", Handle: p.member(p.newContact)},
		{Pattern: "POST /contacts/new", Handle: p.member(p.addContact)},
		{Pattern: "GET /contacts/{id}/confirm", Handle: p.member(p.confirm)},
		{Pattern: "POST /contacts/{id}/confirm", Handle: p.member(p.doConfirm)},
		{Pattern: "POST /contacts/{id}/code", Handle: p.member(p.sendCode)},
		{Pattern: "GET /contacts/{id}/remove", Handle: p.member(p.askRemoveContact)},
		{Pattern: "POST /contacts/{id}/remove", Handle: p.member(p.removeContact)},

		// These are reached from messages; a signed link says whom they speak for.
		{Pattern: "GET " + deliveryPath + "{token}", Handle: p.signedWhy},
		{Pattern: "GET " + unsubscribePath + "{token}", Handle: p.unsubscribe},
		{Pattern: "POST " + unsubscribePath + "{token}", Handle: p.doUnsubscribe, CrossOrigin: true},
		{Pattern: "GET " + unsubscribePath + "{token}/undo", Handle: p.unsubscribe}, // after a reload
		{Pattern: "POST " + unsubscribePath + "{token}/undo", Handle: p.undoUnsubscribe},
	}
}
