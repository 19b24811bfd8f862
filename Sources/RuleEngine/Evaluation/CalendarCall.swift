import CEL

/// A call of a calendar function in an expression: `is_between(now, '22:00', '06:00', 'Europe/Oslo')`, `is_weekday(now)`.
///
/// Of `now` only: such a call turns at known instants, so that the rule needs no `every`.
struct CalendarCall {
    let call: HostCall
    let scope: RuleScope

    func resolve() -> CallResolution {
        let times = call.name == "is_between" ? 2 : 0
        guard (times + 1...times + 2).contains(call.arguments.count) else {
            return fail(call.span, "argument-count", "'\(call.name)' takes \(form)")
        }
        guard case .name("now", _) = call.arguments[0].root.kind, !call.localNames.contains("now") else {
            return fail(call.argumentSpans[0], "calendar", "'\(call.name)' is asked of 'now': \(form)")
        }
        guard let zone = zone(times + 1) else {
            return fail(
                call.argumentSpans[times + 1], "time-zone", "a time zone must be a name in quotes, such as 'Europe/Oslo' or '+02:00'")
        }
        guard times > 0 else { return slot(CalendarFunction(kind: .weekday, zone: zone)) }
        for place in 1...2 where time(place) == nil {
            return fail(call.argumentSpans[place], "calendar", "a time of day must be in quotes, as '06:30', from '00:00' to '24:00'")
        }
        guard let from = time(1), from < 86_400 else {
            return fail(call.argumentSpans[1], "calendar", "'24:00' is the end of a day: the first time is '00:00' to '23:59'")
        }
        guard let to = time(2), from != to else {
            return fail(call.argumentSpans[2], "calendar", "the two times of 'is_between' must differ")
        }
        // Up to midnight is up to 00:00 of the next day.
        return slot(CalendarFunction(kind: .between(from: from, to: to), zone: zone))
    }

    private var form: String {
        call.name == "is_between" ? "(now, '22:00', '06:00') and perhaps a time zone" : "(now) and perhaps a time zone"
    }

    private func slot(_ function: CalendarFunction) -> CallResolution {
        let place = scope.source.calendar(function)
        return .slot(scope.source.extra("calendar \(place)", meaning: "\(function)", .calendar(place)), type: .bool)
    }

    private func text(_ place: Int) -> String? {
        if case .literal(.string(let text)) = call.arguments[place].root.kind { text } else { nil }
    }

    private func time(_ place: Int) -> Int64? { text(place).flatMap { CalendarFunction.seconds(ofDay: $0) } }

    private func zone(_ place: Int) -> NamedZone? {
        guard call.arguments.count > place else { return scope.surroundings.timeZone }
        return text(place).flatMap { NamedZone($0) }
    }

    private func fail(_ span: Span, _ code: String, _ message: String) -> CallResolution {
        .invalid([CELDiagnostic(span: span, code: code, message: message)])
    }
}
