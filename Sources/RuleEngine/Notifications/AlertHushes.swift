/// What keeps alerts from being told, as it stands at an instant.
public struct AlertHushes: Sendable {
    public var silences: SilenceBook
    /// By the id of the alert.
    public var acknowledgements: [String: Acknowledgement]
    public var at: Instant

    /// Nothing is kept back.
    public init(compile: @escaping RegexCompiler, at instant: Instant) {
        silences = SilenceBook(compile: compile)
        acknowledgements = [:]
        at = instant
    }

    init(silences: SilenceBook, acknowledgements: [String: Acknowledgement], at instant: Instant) {
        self.silences = silences
        self.acknowledgements = acknowledgements
        at = instant
    }

    /// Ids of the silences that hide an alert; an alert that is over, or that nobody is told of, is hidden by none.
    public func silences(hiding alert: AlertRecord) -> [String] {
        alert.state.isFiring && !alert.isShadow ? silences.hiding(alert.notificationLabels, at: at) : []
    }

    /// Of an episode that is going on.
    public func acknowledgement(of alert: AlertRecord) -> Acknowledgement? {
        guard alert.state.isFiring, let found = acknowledgements[alert.id], found.episode == alert.episode,
            at < found.until ?? .distantFuture
        else { return nil }
        return found
    }
}

extension NotificationPipeline {
    public func hushes(at now: Instant) -> AlertHushes {
        AlertHushes(silences: silences, acknowledgements: acknowledgements, at: now)
    }
}
