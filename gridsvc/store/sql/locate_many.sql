-- The one-grid rule of locate.sql for many points of one network, in the order of the points.
SELECT found.code
FROM unnest(CAST(:lon AS double precision[]), CAST(:lat AS double precision[])) WITH ORDINALITY AS p (lon, lat, place)
LEFT JOIN LATERAL (
    SELECT located.code FROM gridsvc_locate(p.lon, p.lat, :at) AS located WHERE located.network = :network
) AS found ON true
ORDER BY p.place
