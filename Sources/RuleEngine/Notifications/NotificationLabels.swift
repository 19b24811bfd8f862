extension AlertRecord {
    /// The labels that routes and receivers see: those of the alert, `alertname`, and under levels `severity`.
    var notificationLabels: [String: String] {
        var labels = labels
        labels["alertname"] = rule.alert
        if let level { labels["severity"] = level }
        return labels
    }

    /// The labels that stay the same while the alert goes on: `severity` is left out when it is the level.
    var identityLabels: [String: String] {
        var labels = notificationLabels
        if level != nil { labels["severity"] = nil }
        return labels
    }

    /// What Alertmanager's documents call the alert.
    var fingerprint: String { labelFingerprint(identityLabels) }

    /// Since when receivers are to think that it fires.
    var startsAt: Instant { firedAt ?? changedAt }
}
