/// What a script asks of silences and acknowledgements.
public enum HushRequest: Sendable, Equatable {
    /// - Parameters:
    ///   - alert: its id.
    ///   - until: nil: until the alert is over.
    case acknowledge(alert: String, by: String, comment: String, until: Instant?)
    case silence(Silence)
    case endSilence(id: String)
}

extension NotificationPipeline {
    /// Carries out a request; `refusal` says why not.
    public mutating func take(_ request: HushRequest, at now: Instant) -> (refusal: String?, effects: [PipelineEffect]) {
        switch request {
        case .acknowledge(let alert, let by, let comment, let until):
            let (result, effects) = acknowledge(alert: alert, by: by, comment: comment, until: until, at: now)
            if case .failure(let mistake) = result { return (mistake.description, effects) }
            return (nil, effects)
        case .silence(let wanted):
            let (mistake, effects) = silence(wanted, at: now)
            return (mistake?.description, effects)
        case .endSilence(let id):
            let (silence, effects) = expireSilence(id, at: now)
            return (silence == nil ? "there is no silence '\(id)'" : nil, effects)
        }
    }
}
