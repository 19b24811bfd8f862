-- R223: a message on quiet/{alertname} hides the alerts of that name for so many seconds (quiet-name.yaml).
automation { name = "quiet-name", description = "silences by message" }:on_reading("quiet/{alertname}", function(r)
  alerts.silence { matchers = { alertname = r.alertname }, duration = r.seconds, comment = r.why }
end)
