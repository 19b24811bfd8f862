import RuleEngine

/// `windows.own_history`: from where on windows are of what is recorded.
extension ServerConfiguration {
    var recordedHistory: RecordedHistory {
        // A value that is no duration has been told.
        RecordedHistory(ownReach: self["windows.own_history"].flatMap { Duration(ruleText: $0) })
    }
}
