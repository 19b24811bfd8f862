import CEL

/// `latest('sites/{site}/outdoor').t`: a field of the last reading on another topic, in which captures are this instance's values.
struct LatestCall {
    let call: HostCall
    let scope: RuleScope

    func resolve() -> CallResolution {
        guard call.arguments.count == 1 else { return fail(call.span, "argument-count", "'latest' takes one argument") }
        if scope.place == .label { return fail(call.span, "label-measured", "a label may not depend on a measured value") }
        guard case .literal(.string(let text)) = call.arguments[0].root.kind else {
            return fail(call.argumentSpans[0], "latest", "the topic of 'latest' must be in quotes, such as 'sites/{site}/outdoor'")
        }
        let filter: TopicFilter
        do throws(TopicFilter.Mistake) {
            filter = try TopicFilter(text)
        } catch {
            return fail(call.argumentSpans[0], "topic-filter", error.message)
        }
        if let mistake = mistake(in: filter) { return mistake }
        guard !call.selections.isEmpty else {
            return fail(
                call.span, "latest", "'latest' is followed by a field: latest('\(text)').temperature",
                hint: "a payload that is no JSON object is the field 'value'")
        }
        return field(of: filter)
    }

    /// It has to name one topic for each instance.
    private func mistake(in filter: TopicFilter) -> CallResolution? {
        let span = call.argumentSpans[0]
        guard filter.share == nil else { return fail(span, "latest", "'latest' takes no shared subscription") }
        let isOpen = filter.levels.contains { level in
            switch level {
            case .any(capture: nil), .rest(capture: nil): true
            default: false
            }
        }
        guard !isOpen else {
            return fail(span, "latest", "'latest' names one topic for each instance: '+' and '#' cannot stand in it")
        }
        guard let unknown = filter.captures.first(where: { !scope.rule.by.contains($0) }) else { return nil }
        let known = scope.rule.by.map { "{\($0)}" }.joined(separator: ", ")
        return fail(
            span, "latest", "'{\(unknown)}' is no value of the instance, which 'latest' needs",
            hint: known.isEmpty ? "the rule has one instance: write the topic out" : "an instance is told by \(known)")
    }

    private func field(of filter: TopicFilter) -> CallResolution {
        let place = scope.sources.place(of: SourceKey(latest: filter))
        let path = FieldPath(origin: .payload, elements: call.selections.map(FieldPath.Element.init))
        guard let field = scope.sources.all[place].field(path) else {
            return fail(call.span, "limit", "at most \(firstExtraSlot) fields of one topic can be read")
        }
        if !scope.latestFilters.contains(filter) { scope.latestFilters.append(filter) }
        let keyPlaces = filter.captures.compactMap { scope.rule.by.firstIndex(of: $0) }
        let latest = scope.source.latest(LatestPlan(source: Int32(place), keyPlaces: keyPlaces))
        let slot = scope.source.extra(
            "latest \(latest) \(field)", meaning: "latest \(filter.subscription) \(keyPlaces) \(path)", .latest(latest, field))
        return .slot(slot, consumed: call.selections.count)
    }

    private func fail(_ span: Span, _ code: String, _ message: String, hint: String? = nil) -> CallResolution {
        .invalid([CELDiagnostic(span: span, code: code, message: message, hint: hint)])
    }
}
