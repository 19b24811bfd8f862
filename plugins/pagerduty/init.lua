-- https://developer.pagerduty.com/docs/send-alert-event

local max_summary, max_key, max_alerts = 1024, 255, 20

-- FNV-1a of 64 bits, for group keys that are too long to be a dedup_key.
local function hash(value)
  local state = 0xcbf29ce484222325
  for first = 1, #value, 100 do
    for _, byte in ipairs { string.byte(value, first, first + 99) } do state = (state ~ byte) * 0x100000001b3 end
  end
  return string.format("%016x", state)
end

-- The same at each notification of a group, so that the resolved one finds its incident.
local function dedup_key(notification)
  local key = notification.groupKey
  if #key <= max_key then return key end
  return hash(key) .. hash(key .. "#")
end

local function source(notification)
  local labels = notification.commonLabels or {}
  return labels.device or labels.instance or labels.site or "nodesphere"
end

local function details(notification)
  local firing, resolved = {}, {}
  for index, alert in ipairs(notification.alerts) do
    if index > max_alerts then break end
    local list = alert.status == "firing" and firing or resolved
    list[#list + 1] = text.summary(alert)
  end
  return {
    firing = table.concat(firing, "\n"), resolved = table.concat(resolved, "\n"),
    alerts = #notification.alerts + (notification.truncatedAlerts or 0), labels = notification.commonLabels,
  }
end

-- As it was written in the first alert, which an event needs when it is not the time of receipt.
local function links(notification)
  local runbook = (notification.commonAnnotations or {}).runbook_url
  if runbook then return { { href = runbook, text = "runbook" } } end
end

local function event(notification, config)
  local severity = config.severity or text.severity(notification) or "error"
  return {
    routing_key = config.routing_key,
    event_action = notification.status == "firing" and "trigger" or "resolve",
    dedup_key = dedup_key(notification),
    client = config.client,
    client_url = notification.externalURL ~= "" and notification.externalURL or nil,
    links = links(notification),
    payload = {
      summary = text.truncate(config.description or text.title(notification), max_summary),
      source = source(notification),
      severity = severity,
      timestamp = notification.alerts[1] and notification.alerts[1].startsAt,
      class = config.class, component = config.component, group = config.group,
      custom_details = details(notification),
    },
  }
end

plugin {
  channels = {
    pagerduty = function(notification, config)
      -- 202: accepted. 400: the event is wrong. 429 and 5xx: later.
      return channel.outcome(http.post(config.url, {
        headers = { ["Content-Type"] = "application/json" }, body = json.encode(event(notification, config)),
      }))
    end,
  },
}
